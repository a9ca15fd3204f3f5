import { endlessLoopModel, externalDataModel, nestedIfModel } from "./example-models.ts";
import { buildOnnxModel, type WrittenModel } from "./onnx-writer.ts";
import { ProtobufWriter } from "./protobuf-writer.ts";

/** A file that the static check refuses, on the plane as on the device, with the number of the attack in its name. */
export interface ForgedModel {
  readonly name: string;
  /** Code of the refusal. */
  readonly code: string;
  readonly bytes: Uint8Array;
}

const x = { name: "x", type: "float32", shape: [4] } as const;
const y = { ...x, name: "y" };
const relu = { op: "Relu", inputs: ["x"], outputs: ["y"] };
const toModel = (graph: Partial<WrittenModel["graph"]>, rest: Partial<WrittenModel> = {}): Uint8Array =>
  buildOnnxModel({ graph: { nodes: [relu], inputs: [x], outputs: [y], ...graph }, ...rest });
const toTensor = (dims: readonly bigint[], bytes: number) => ({
  initializers: [{ name: "w", type: "float32" as const, dims, data: new Uint8Array(bytes) }],
});
/** External data with entries of their own, as TensorProto.external_data holds them. */
function toExternal(entries: Readonly<Record<string, string>>): Uint8Array {
  const tensor = new ProtobufWriter().int(1, 4).int(2, 1).string(8, "w");
  for (const [key, value] of Object.entries(entries))
    tensor.message(13, new ProtobufWriter().string(1, key).string(2, value));
  const node = new ProtobufWriter().string(1, "x").string(2, "y").string(4, "Relu");
  const graph = new ProtobufWriter().message(1, node).string(2, "g").message(5, tensor.int(14, 1));
  const opset = new ProtobufWriter().string(1, "").int(2, 17);
  return new ProtobufWriter().int(1, 8).message(7, graph).message(8, opset).finish();
}
/** The operator makes as many elements as a constant says. */
function toMade(op: "ConstantOfShape" | "Expand", elements: bigint): Uint8Array {
  const size = { name: "size", type: "int64" as const, dims: [1], data: BigInt64Array.of(elements) };
  const inputs = op === "Expand" ? ["x", "size"] : ["size"];
  const largest = { op: "ReduceMax", inputs: ["big"], outputs: ["y"], attributes: [{ name: "keepdims", int: 0 }] };
  const scalar = { name: "y", type: "float32" as const, shape: [] };
  const one = { name: "x", type: "float32" as const, shape: [1] };
  const graph = { inputs: [one], outputs: [scalar], initializers: [size] };
  return toModel({ nodes: [{ op, inputs, outputs: ["big"] }, largest], ...graph });
}
const manyNodes = Array.from({ length: 60_000 }, (_, at) => ({
  op: "Relu",
  inputs: [`n${at}`],
  outputs: [`n${at + 1}`],
}));

/** @param good a model that is admitted, for files that are a part of it */
export function forgedModels(good: Uint8Array): readonly ForgedModel[] {
  const rows: readonly (readonly [string, string, Uint8Array])[] = [
    ["A13 external data in the folder above", "external_data_refused", externalDataModel("../secret")],
    ["A13 external data by a path that comes back", "external_data_refused", externalDataModel("sub/../../secret")],
    ["A13 external data by an absolute path", "external_data_refused", externalDataModel("/etc/shadow")],
    ["A13 external data from a device", "external_data_refused", externalDataModel("/dev/zero")],
    ["A13 external data from the environment", "external_data_refused", externalDataModel("/proc/self/environ")],
    ["A14 external data behind a link", "external_data_refused", externalDataModel("link-to-secret")],
    [
      "A15 an address in memory",
      "external_data_refused",
      toExternal({ location: "*/_ORT_MEM_ADDR_/*", offset: "4096" }),
    ],
    ["A16 an offset of -4", "external_data_refused", toExternal({ location: "w", offset: "-4" })],
    ["A16 an offset of 2^62", "external_data_refused", toExternal({ location: "w", offset: String(2n ** 62n) })],
    ["A16 a length of 2^62", "external_data_refused", toExternal({ location: "w", length: String(2n ** 62n) })],
    ["A16 external data without a location", "external_data_refused", toExternal({})],
    ["A17 dimensions of 2^40 by 2^20", "model_too_complex", toModel(toTensor([2n ** 40n, 2n ** 20n], 4))],
    ["A17 a negative dimension", "tensor_malformed", toModel(toTensor([-4n], 4))],
    ["A17 data that is too short", "tensor_malformed", toModel(toTensor([4n], 12))],
    ["A17 data that is too long", "tensor_malformed", toModel(toTensor([4n], 20))],
    ["A18 a constant shape of 64 GiB", "model_too_complex", toMade("ConstantOfShape", 2n ** 34n)],
    ["A18 an Expand to 64 GiB", "model_too_complex", toMade("Expand", 2n ** 34n)],
    ["A18 an Expand to 4 GiB", "model_too_complex", toMade("Expand", 2n ** 30n)],
    ["A19 a loop of 2^62 rounds", "model_too_complex", endlessLoopModel({ trips: 2n ** 62n })],
    ["A20 branches nested twelve deep", "model_too_complex", nestedIfModel(12)],
    ["A21 an operator of a strange domain", "unknown_operator", toModel({ nodes: [{ ...relu, domain: "org.evil" }] })],
    ["A21 an operator that nobody knows", "unknown_operator", toModel({ nodes: [{ ...relu, op: "Explode" }] })],
    ["A21 operator set 9999", "unsupported_opset", toModel({}, { opsets: [{ domain: "", version: 9_999 }] })],
    ["A21 sixty thousand nodes", "model_too_complex", toModel({ nodes: manyNodes })],
    ["A21 nothing", "length_mismatch", new Uint8Array()],
    ["A21 zeros", "not_onnx", new Uint8Array(4_096)],
    ["A21 noise", "not_onnx", Uint8Array.from({ length: 4_096 }, (_, at) => (at * 2_654_435_761) >>> 24)],
    ["A21 one byte of a model", "model_truncated", good.subarray(0, 1)],
    ["A21 seven bytes of a model", "model_truncated", good.subarray(0, 7)],
    ["A21 half a model", "model_truncated", good.subarray(0, good.length / 2)],
    ["A21 all but the last byte of a model", "model_truncated", good.subarray(0, -1)],
  ];
  return rows.map(([name, code, bytes]) => ({ name, code, bytes }));
}
