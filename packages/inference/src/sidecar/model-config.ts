import type { Datatype, TensorSpec } from "../tensor.ts";
import type { ModelEdge } from "./server-model.ts";

export interface ModelConfigOptions {
  readonly name: string;
  readonly version: number;
  readonly edge: ModelEdge;
  readonly providers: readonly string[];
  readonly threads: number;
}

const types: Readonly<Record<Datatype, string>> = {
  BOOL: "TYPE_BOOL",
  UINT8: "TYPE_UINT8",
  UINT16: "TYPE_UINT16",
  UINT32: "TYPE_UINT32",
  UINT64: "TYPE_UINT64",
  INT8: "TYPE_INT8",
  INT16: "TYPE_INT16",
  INT32: "TYPE_INT32",
  INT64: "TYPE_INT64",
  FP16: "TYPE_FP16",
  BF16: "TYPE_BF16",
  FP32: "TYPE_FP32",
  FP64: "TYPE_FP64",
  BYTES: "TYPE_STRING",
};

/**
 * The text of `config.pbtxt` (protocol buffer text format of Triton's ModelConfig). `max_batch_size` 0: the dimensions are
 * the whole shape, the first included, and the server joins no requests.
 */
export function toModelConfig({ name, version, edge, providers, threads }: ModelConfigOptions): string {
  return [
    `name: ${quote(name)}`,
    'platform: "onnxruntime_onnx"',
    "max_batch_size: 0",
    ...edge.inputs.map((spec) => toTensor("input", spec)),
    ...edge.outputs.map((spec) => toTensor("output", spec)),
    `instance_group [ { count: 1 kind: ${toKind(providers)} } ]`,
    `version_policy: { specific: { versions: [ ${version} ] } }`,
    `parameters { key: "intra_op_thread_count" value: { string_value: ${quote(String(threads))} } }`,
    "",
  ].join("\n");
}

function toTensor(field: "input" | "output", { name, datatype, shape }: TensorSpec): string {
  // No dimension at all is refused there: a scalar is one element that is given another shape.
  const dims = shape.length === 0 ? "[ 1 ] reshape: { shape: [ ] }" : `[ ${shape.join(", ")} ]`;
  return `${field} [ { name: ${quote(name)} data_type: ${types[datatype]} dims: ${dims} } ]`;
}

function toKind(providers: readonly string[]): string {
  const [first] = providers;
  if (first === "cpu") return "KIND_CPU";
  return first === "cuda" || first === "tensorrt" ? "KIND_GPU" : "KIND_AUTO";
}

/** OpenVINO's name of the device that is asked for; AUTO where the name is none of those. */
export function toDevice(providers: readonly string[]): string {
  const [first = ""] = providers;
  const device = first.toUpperCase();
  return ["CPU", "GPU", "NPU"].includes(device) ? device : "AUTO";
}

/** A string of the text format: every byte that is not plain printable ASCII as an octal escape. */
function quote(text: string): string {
  let quoted = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const plain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c;
    quoted += plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  }
  return `"${quoted}"`;
}
