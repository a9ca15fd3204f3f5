import { describe, expect, it } from "vitest";
import { endlessLoopModel, mlpModel } from "../testing/example-models.ts";
import { buildOnnxModel, type WrittenModel, type WrittenNode } from "../testing/onnx-writer.ts";
import { ProtobufWriter } from "../testing/protobuf-writer.ts";
import { inspectOnnxBytes, type InspectionOptions } from "./inspect.ts";
import { InspectionError } from "./inspection-error.ts";

/* Whatever a model may have more of than a device can bear has a bound, and a refusal says where in the file it is. */

const value = (name: string) => ({ name, type: "float32", shape: [4] }) as const;
const relu: WrittenNode = { op: "Relu", inputs: ["x"], outputs: ["y"] };
const toModel = (nodes: readonly WrittenNode[], rest: Partial<WrittenModel> = {}) =>
  buildOnnxModel({ graph: { nodes, inputs: [value("x")], outputs: [value("y")] }, ...rest });
const message = () => new ProtobufWriter();
const reluNode = () => message().string(1, "x").string(2, "y").string(4, "Relu");

/** A model around a graph of which nobody but the caller knows what it holds. */
function toFile(graph: ProtobufWriter): Uint8Array {
  return message().int(1, 8).message(7, graph).message(8, message().string(1, "").int(2, 17)).finish();
}

const withAttribute = (write: (writer: ProtobufWriter) => ProtobufWriter) =>
  toFile(message().message(1, reluNode().message(5, write(message().string(1, "a")))));

function refusalOf(bytes: Uint8Array, options: InspectionOptions = {}): InspectionError | null {
  try {
    inspectOnnxBytes(bytes, options);
    return null;
  } catch (error) {
    if (error instanceof InspectionError) return error;
    throw error;
  }
}

/** A sequence of a sequence of … of a tensor. */
function toType(depth: number): ProtobufWriter {
  if (depth <= 1) return message().message(1, message().int(1, 1));
  return message().message(4, message().message(1, toType(depth - 1)));
}

const local = (nodes: readonly WrittenNode[], name = "Mine", domain = "local") => ({
  ...{ name, domain, nodes },
  inputs: ["a"],
  outputs: ["b"],
});
const opsets = [
  { domain: "", version: 17 },
  { domain: "local", version: 1 },
];
const inner: WrittenNode = { op: "Relu", inputs: ["a"], outputs: ["b"] };
const mine: WrittenNode = { ...relu, op: "Mine", domain: "local" };
const inverse: WrittenNode = { ...relu, op: "Inverse", domain: "com.microsoft" };

/** A function with a default for its attribute: that default is a tensor which lies in another file. */
function toFunctionDefault(): Uint8Array {
  const entry = message().string(1, "location").string(2, "../secret");
  const tensor = message().int(1, 4).int(2, 1).string(8, "w").message(13, entry).int(14, 1);
  const fn = message().string(1, "Mine").string(10, "local").message(7, reluNode());
  const call = message().string(1, "x").string(2, "y").string(4, "Mine").string(7, "local");
  const model = message().int(1, 8).message(7, message().message(1, call));
  model.message(8, message().string(1, "").int(2, 17)).message(8, message().string(1, "local").int(2, 1));
  return model.message(25, fn.message(11, message().string(1, "value").message(5, tensor))).finish();
}

describe("a bound of the check", () => {
  it.each<[string, string, Uint8Array]>([
    ["types nested thousands deep, in an input", "model_too_complex", toFile(nest(11))],
    ["types nested thousands deep, in what is between", "model_too_complex", toFile(nest(13))],
    [
      "types nested thousands deep, in an attribute",
      "model_too_complex",
      withAttribute((w) => w.message(14, toType(2_000))),
    ],
    ["a value of a thousand dimensions", "model_too_complex", toModel([relu], { graph: toWide(1_000) })],
    [
      "a text of megabytes in an attribute",
      "model_too_complex",
      withAttribute((w) => w.string(4, "A".repeat(3_000_000))),
    ],
    ["a text of megabytes in a list", "model_too_complex", withAttribute((w) => w.string(9, "A".repeat(3_000_000)))],
    ["a name of megabytes", "model_too_complex", toModel([{ ...relu, outputs: ["y".repeat(3_000_000)] }])],
    [
      "a fifth input with such a name",
      "model_too_complex",
      toModel([{ ...relu, inputs: ["a", "b", "c", "d", "e".repeat(5_000)] }]),
    ],
    [
      "a note of megabytes",
      "model_too_complex",
      toFile(message().message(1, reluNode().string(6, "n".repeat(5_000_000)))),
    ],
    ["metadata of megabytes", "model_too_complex", toModel([relu], { metadata: { note: "n".repeat(5_000_000) } })],
    ["a number in more bytes than it needs", "not_onnx", toPadded(Uint8Array.of(0x88, 0x00))],
    ["a number in ten bytes that is zero", "not_onnx", toPadded(toTen(0x80, 0))],
    ["a number of more than 64 bits", "not_onnx", toPadded(toTen(0xff, 2))],
    [
      "an attribute twice",
      "not_onnx",
      toModel([
        {
          ...relu,
          attributes: [
            { name: "a", int: 1 },
            { name: "a", int: 2 },
          ],
        },
      ]),
    ],
    ["two tensors in one attribute", "not_onnx", withAttribute((w) => w.message(5, toTensor()).message(5, toTensor()))],
    ["two graphs in one attribute", "not_onnx", withAttribute((w) => w.message(6, message()).message(6, message()))],
    [
      "a value of two types",
      "not_onnx",
      toFile(message().message(11, message().message(2, toType(1)).message(2, toType(1)))),
    ],
    ["a type that is two", "not_onnx", withAttribute((w) => w.message(14, toType(1).message(4, message())))],
    ["two tensors of one name", "tensor_malformed", toFile(message().message(5, toTensor()).message(5, toTensor()))],
    [
      "a function in the place of an operator",
      "unknown_operator",
      toModel([relu], { functions: [local([inner], "Relu", "")] }),
    ],
    [
      "the same under the long name of the domain",
      "unknown_operator",
      toModel([relu], { functions: [local([inner], "Relu", "ai.onnx")] }),
    ],
    [
      "A21 a function under the name of an operator that the runtime has and the lists leave out",
      "unknown_operator",
      toModel([inverse], { opsets, functions: [local([inner], "Inverse", "com.microsoft")] }),
    ],
    [
      "A21 the same with the domain hidden in the function's name",
      "unknown_operator",
      toModel([inverse], { opsets, functions: [local([inner], "com.microsoft::Inverse", "")] }),
    ],
    [
      "A21 the same with the domain's end hidden in the function's name",
      "unknown_operator",
      toModel([inverse], { opsets, functions: [local([inner], ":Inverse", "com.microsoft:")] }),
    ],
    ["one function twice", "not_onnx", toModel([mine], { opsets, functions: [local([inner]), local([])] })],
    ["external data in what a function has by default", "external_data_refused", toFunctionDefault()],
  ])("refuses %s", (_, code, bytes) => {
    expect(refusalOf(bytes)?.code).toBe(code);
  });

  it.each(["ai.onnx.preview.training", "com.ms.internal.nhwc", "org.pytorch.aten", "com.microsoft.nchwc"])(
    "A21 refuses a function in %s, where the runtime has operators of its own",
    (domain) => {
      const bytes = toModel([{ ...inverse, domain }], { opsets, functions: [local([inner], "Inverse", domain)] });
      expect(refusalOf(bytes)?.code).toBe("unknown_operator");
    },
  );

  it("has a number for everything that can be many", () => {
    const bytes = toModel([{ ...relu, attributes: [{ name: "a", ints: [1, 2, 3] }] }]);
    for (const limits of [
      { maxNodes: 0 },
      { maxAttributes: 0 },
      { maxAttributeBytes: 2 },
      { maxTypeDepth: 0 },
      { maxNamesBytes: 8 },
    ])
      expect(refusalOf(bytes, { limits })?.code, JSON.stringify(limits)).toBe("model_too_complex");
    expect(refusalOf(bytes)).toBeNull();
  });

  it.each([1, 8])("admits types that lie %i deep", (depth) => {
    const input = message().string(1, "x").message(2, toType(depth));
    expect(refusalOf(toFile(message().message(1, reluNode()).message(11, input)))).toBeNull();
  });

  it("tells two functions of one name apart by their overload", () => {
    const write = (overload: string, nodes: number) => {
      const fn = message().string(1, "Mine").string(10, "local").string(13, overload);
      for (let at = 0; at < nodes; at += 1) fn.message(7, reluNode());
      return fn;
    };
    const graph = message();
    for (let at = 0; at < 100; at += 1)
      graph.message(1, message().string(1, "x").string(2, "y").string(4, "Mine").string(7, "local").string(8, "many"));
    const model = message().int(1, 10).message(7, graph).message(8, message().string(1, "").int(2, 17));
    const bytes = model.message(25, write("many", 1_000)).message(25, write("few", 1)).finish();
    expect(refusalOf(bytes)?.message).toBe("functions expand to more than 50000 nodes");
  });
});

describe("the reason of a refusal", () => {
  it("names the node by number, name and operator, and the byte at which it begins", () => {
    const bytes = toModel([relu, { ...relu, op: "Explode", inputs: ["y"], outputs: ["z"] }]);
    const refusal = refusalOf(bytes);
    expect(refusal?.message).toMatch(/^no operator is called "Explode"; at byte \d+, node 1 \(Explode\)$/u);
    const byte = Number(refusal?.details["byte"]);
    const text = Buffer.from(bytes).toString("latin1");
    expect(text.slice(byte, text.indexOf("Explode")).length).toBeLessThan(12);
    expect(refusal?.details).toMatchObject({ place: "node 1 (Explode)" });
  });

  it("names the path through inner graphs, functions and attributes", () => {
    expect(refusalOf(endlessLoopModel({ trips: 2n ** 62n }))?.message).toMatch(/node 0 \(Loop\)$/u);
    const fn = local([inner, { ...inner, op: "Explode" }]);
    expect(refusalOf(toModel([mine], { opsets, functions: [fn] }))?.message).toMatch(
      /function 0 "Mine" \/ node 1 \(Explode\)$/u,
    );
    const text = withAttribute((w) => w.string(4, "A".repeat(100_000)));
    expect(refusalOf(text)?.message).toMatch(/^a text of 100000 bytes; .*node 0 \(Relu\) \/ attribute 0 "a"$/u);
  });

  it("names an initializer, and shows nothing that a terminal or a page would obey", () => {
    const name = 'w\u001B[2J\u202E<b>"';
    const tensor = message().int(1, 4).int(2, 1).string(8, name).bytes(9, new Uint8Array(3));
    const refusal = refusalOf(toFile(message().message(1, reluNode()).message(5, tensor)));
    expect(refusal?.message).toMatch(/initializer 0/u);
    expect(refusal?.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe("the policy for operators", () => {
  const half = toModel([{ ...relu, domain: "com.microsoft", op: "QuickGelu" }], {
    opsets: [
      { domain: "", version: 17 },
      { domain: "com.microsoft", version: 1 },
    ],
  });

  it("refuses a domain that is not allowed, and names the node", () => {
    expect(refusalOf(half)).toBeNull();
    const refusal = refusalOf(half, { operators: { allowDomains: ["ai.onnx", "ai.onnx.ml"] } });
    expect(refusal).toMatchObject({ code: "unknown_operator" });
    expect(refusal?.message).toMatch(/operators of com\.microsoft are not allowed here; .*node 0 \(QuickGelu\)/u);
    expect(refusalOf(mlpModel({ widths: [4, 4] }), { operators: { allowDomains: [] } })?.code).toBe("unknown_operator");
  });

  it.each(["Relu", "ai.onnx::Relu"])("refuses the operator %s in the graph and in a function", (name) => {
    const operators = { denyOperators: [name] };
    expect(refusalOf(toModel([relu]), { operators })?.message).toMatch(/^Relu is not allowed here/u);
    expect(refusalOf(toModel([mine], { opsets, functions: [local([inner])] }), { operators })?.message).toMatch(
      /function 0 "Mine" \/ node 0/u,
    );
    expect(refusalOf(half, { operators })).toBeNull();
  });

  it("refuses an operator of another domain by its whole name", () => {
    const operators = { denyOperators: ["com.microsoft::QuickGelu"] };
    expect(refusalOf(half, { operators })?.code).toBe("unknown_operator");
  });

  it("cannot allow what nobody knows", () => {
    const strange = toModel([{ ...relu, domain: "org.evil", op: "Relu" }]);
    expect(refusalOf(strange, { operators: { allowDomains: ["org.evil", "ai.onnx"] } })?.code).toBe("unknown_operator");
  });
});

function nest(field: number): ProtobufWriter {
  return message()
    .message(1, reluNode())
    .message(field, message().string(1, "x").message(2, toType(2_000)));
}

function toWide(dimensions: number): WrittenModel["graph"] {
  const shape = Array.from({ length: dimensions }, () => 1);
  return { nodes: [relu], inputs: [{ name: "x", type: "float32", shape }], outputs: [value("y")] };
}

const toTen = (nine: number, last: number) => Uint8Array.from({ length: 10 }, (_, at) => (at < 9 ? nine : last));

function toTensor(): ProtobufWriter {
  return message().int(1, 1).int(2, 1).string(8, "w").bytes(9, new Uint8Array(4));
}

/** The field for the IR version, which is the first of a model, and the bytes of its number. */
function toPadded(number: Uint8Array): Uint8Array {
  return Uint8Array.of(0x08, ...number, ...toModel([relu]).subarray(2));
}
