import { mkdtempSync, openSync, closeSync, writeSync, ftruncateSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hasErrorCode } from "@fairlead/kernel";
import {
  dynamicQuantizationModel,
  endlessLoopModel,
  externalDataModel,
  float16Model,
  int4Model,
  mlpModel,
  nestedIfModel,
} from "../testing/example-models.ts";
import { buildOnnxModel, type WrittenFunction, type WrittenModel, type WrittenTensor } from "../testing/onnx-writer.ts";
import { ProtobufWriter } from "../testing/protobuf-writer.ts";
import { inspectOnnxBytes, inspectOnnxFile } from "./inspect.ts";
import { InspectionError } from "./inspection-error.ts";

const digits = new URL("../../../../test/fixtures/digits/", import.meta.url);
const digitModel = (name: string) => readFileSync(new URL(`digit-reader-${name}.onnx`, digits));

const value = { type: "float32", shape: [4] } as const;
function oneNode(op: string, rest: Partial<WrittenModel> & { domain?: string; initializers?: WrittenTensor[] } = {}) {
  const { domain, initializers = [], ...model } = rest;
  const node = { op, inputs: ["x"], outputs: ["y"], ...(domain === undefined ? {} : { domain }) };
  const graph = {
    nodes: [node],
    inputs: [{ name: "x", ...value }],
    outputs: [{ name: "y", ...value }],
    initializers,
  };
  return buildOnnxModel({ graph, ...model });
}

function codeOf(bytes: Uint8Array): string {
  try {
    inspectOnnxBytes(bytes);
    return "accepted";
  } catch (error) {
    if (!(error instanceof InspectionError)) throw error;
    expect(error.hint).toBeTruthy();
    return error.code;
  }
}

describe("inspection of an ONNX model", () => {
  it.each([
    ["1.0.0-fp32", "fp32", "none"],
    ["1.0.0-int8", "int8", "qdq"],
    ["1.1.0-fp32", "fp32", "none"],
    ["1.1.0-int8", "int8", "qdq"],
    ["1.2.0-int8-miscalibrated", "int8", "qdq"],
  ])("reads what the digit reader %s is", async (name, precision, quantization) => {
    const path = new URL(`digit-reader-${name}.onnx`, digits).pathname;
    const inspection = await inspectOnnxFile(path);
    expect(inspection).toMatchObject({
      irVersion: 8,
      precision,
      quantization,
      inputs: [{ name: "image", elementType: "float32", shape: ["batch", 1, 8, 8] }],
      outputs: [{ name: "probabilities", elementType: "float32", shape: ["batch", 10] }],
      externalDataLocations: [],
    });
    expect(inspection.opsets).toContainEqual({ domain: "", version: 13 });
    expect(inspection.operators).toHaveProperty("Conv");
    expect(inspection.weightBytes).toBeLessThan(readFileSync(path).length);
    expect(inspection.weightBytes).toBeGreaterThan(0);
    expect(inspectOnnxBytes(digitModel(name))).toEqual(inspection);
  });

  it.each([
    ["fp32", "none", mlpModel({ widths: [4, 8, 2] })],
    ["fp16", "none", float16Model()],
    ["int4", "weight-only-4bit", int4Model()],
    ["int8", "dynamic", dynamicQuantizationModel()],
  ])("tells %s with quantization %s", (precision, quantization, bytes) => {
    expect(inspectOnnxBytes(bytes)).toMatchObject({ precision, quantization });
  });

  it("counts parameters, bytes and nodes", () => {
    expect(inspectOnnxBytes(mlpModel({ widths: [4, 8, 2] }))).toMatchObject({
      parameterCount: 48,
      weightBytes: 192,
      nodeCount: 4,
      operators: { MatMul: 2, Relu: 1, Softmax: 1 },
    });
  });

  it("counts the nodes of loops and branches", () => {
    expect(inspectOnnxBytes(nestedIfModel(3)).operators).toEqual({ If: 7, Identity: 8 });
    expect(inspectOnnxBytes(endlessLoopModel()).operators).toEqual({ Loop: 1, Identity: 1, Add: 1 });
  });

  it("does not report an input that has an initializer", () => {
    const weight: WrittenTensor = { name: "x", type: "float32", dims: [4], data: new Float32Array(4) };
    expect(inspectOnnxBytes(oneNode("Relu", { initializers: [weight] })).inputs).toEqual([]);
  });

  it("accepts an operator that the model defines as a function", () => {
    const node = { op: "Relu", inputs: ["a"], outputs: ["b"] };
    const fn = { name: "Mine", domain: "local", inputs: ["a"], outputs: ["b"], nodes: [node] };
    const opsets = [
      { domain: "", version: 17 },
      { domain: "local", version: 1 },
    ];
    expect(codeOf(oneNode("Mine", { domain: "local", functions: [fn], opsets }))).toBe("accepted");
  });

  it("bounds and cleans metadata", () => {
    const metadata = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`k${index}\u0007`, "<b>\u001B".repeat(1_000)]),
    );
    const { metadataProps } = inspectOnnxBytes(oneNode("Relu", { metadata }));
    expect(Object.keys(metadataProps)).toHaveLength(64);
    expect(metadataProps["k0\uFFFD"]).toHaveLength(1_024);
    expect(metadataProps["k0\uFFFD"]).not.toContain("\u001B");
  });
});

const tensor = (dims: (number | bigint)[], bytes: number): WrittenTensor => ({
  name: "w",
  type: "float32",
  dims,
  data: new Uint8Array(bytes),
});
const call = (name: string) => ({ op: name, domain: "local", inputs: ["a"], outputs: ["b"] });
const chained: WrittenFunction[] = Array.from({ length: 12 }, (_, index) => ({
  name: `F${index}`,
  domain: "local",
  inputs: ["a"],
  outputs: ["b"],
  nodes: index === 11 ? [call("F11")] : Array.from({ length: 10 }, () => call(`F${index + 1}`)),
}));
const widening = chained.with(11, { ...chained[11]!, nodes: [{ op: "Relu", inputs: ["a"], outputs: ["b"] }] });

describe("refusal of an ONNX model", () => {
  it.each([
    ["external data", "external_data_refused", externalDataModel("../secret")],
    ["the memory address trick", "external_data_refused", externalDataModel("*/_ORT_MEM_ADDR_/*")],
    ["an operator nobody knows", "unknown_operator", oneNode("Explode")],
    ["a custom domain", "unknown_operator", oneNode("Relu", { domain: "org.strange" })],
    ["compiled code of a vendor", "unknown_operator", oneNode("EPContext", { domain: "com.microsoft" })],
    ["no operator set", "unsupported_opset", oneNode("Relu", { opsets: [] })],
    ["operator set 9999", "unsupported_opset", oneNode("Relu", { opsets: [{ domain: "", version: 9999 }] })],
    ["operator set 0", "unsupported_opset", oneNode("Relu", { opsets: [{ domain: "ai.onnx", version: 0 }] })],
    ["IR version 99", "unsupported_opset", oneNode("Relu", { irVersion: 99 })],
    ["a sparse tensor that is dense in 64 GiB", "model_too_complex", toSparse(2 ** 34)],
    ["graphs for training", "model_too_complex", toTraining()],
    ["a loop of 2^62 rounds", "model_too_complex", endlessLoopModel({ trips: 2n ** 62n })],
    ["branches nested 12 deep", "model_too_complex", nestedIfModel(12)],
    [
      "dimensions that overflow",
      "model_too_complex",
      oneNode("Relu", { initializers: [tensor([2 ** 40, 2 ** 20], 4)] }),
    ],
    ["a negative dimension", "tensor_malformed", oneNode("Relu", { initializers: [tensor([-1n], 4)] })],
    ["too few bytes", "tensor_malformed", oneNode("Relu", { initializers: [tensor([4], 12)] })],
    ["too many bytes", "tensor_malformed", oneNode("Relu", { initializers: [tensor([4], 20)] })],
    ["a tensor without data", "tensor_malformed", oneNode("Relu", { initializers: [tensor([1e9], 0)] })],
    [
      "typed data that is too short",
      "tensor_malformed",
      toTyped((w) => w.int(1, 4).int(2, 1).bytes(4, new Uint8Array(12))),
    ],
    ["too few typed integers", "tensor_malformed", toTyped((w) => w.int(1, 4).int(2, 7).bytes(7, new Uint8Array(3)))],
    ["too few texts", "tensor_malformed", toTyped((w) => w.int(1, 2).int(2, 8).string(6, "one"))],
    [
      "typed data beside raw data",
      "tensor_malformed",
      toTyped((w) => w.int(1, 1).int(2, 1).float(4, 1).bytes(9, new Uint8Array(4))),
    ],
    [
      "two raw data",
      "tensor_malformed",
      toTyped((w) => w.int(1, 1).int(2, 1).bytes(9, new Uint8Array(4)).bytes(9, new Uint8Array(4))),
    ],
    ["two data types", "tensor_malformed", toTyped((w) => w.int(1, 1).int(2, 1).int(2, 7).bytes(9, new Uint8Array(8)))],
    ["functions that call themselves", "model_too_complex", oneNode("F11", { domain: "local", functions: chained })],
    ["functions that multiply", "model_too_complex", oneNode("F0", { domain: "local", functions: widening })],
    ["nothing", "not_onnx", new Uint8Array()],
    ["zeros", "not_onnx", new Uint8Array(1_000)],
    ["text", "not_onnx", new TextEncoder().encode("#!/bin/sh\nexit 0\n")],
    ["a graph without nodes", "not_onnx", new ProtobufWriter().int(1, 8).bytes(7, new Uint8Array()).finish()],
  ])("refuses %s", (_, code, bytes) => {
    expect(codeOf(bytes)).toBe(code);
  });

  it.each([
    ["floats, packed and one by one", toTyped((w) => w.int(1, 2).int(2, 1).bytes(4, new Uint8Array(4)).float(4, 1))],
    ["integers of one to ten bytes", toTyped((w) => w.int(1, 2).int(2, 7).int(7, 1).int(7, -1n))],
    ["four-bit integers, two in one", toTyped((w) => w.int(1, 3).int(2, 22).bytes(5, new Uint8Array(2)))],
    ["texts", toTyped((w) => w.int(1, 2).int(2, 8).string(6, "one").string(6, ""))],
    ["no elements", toTyped((w) => w.int(1, 0).int(2, 1))],
  ])("admits typed data: %s", (_, bytes) => {
    expect(codeOf(bytes)).toBe("accepted");
  });

  it("refuses more nodes, fields or tensors than the limits", () => {
    const bytes = mlpModel({ widths: [4, 8, 2] });
    for (const limits of [{ maxNodes: 3 }, { maxFields: 20 }, { maxTensors: 1 }, { maxStringBytes: 3 }]) {
      expect(() => inspectOnnxBytes(bytes, { limits })).toThrow(expect.objectContaining({ code: "model_too_complex" }));
    }
  });

  it("reports external data when asked to", () => {
    const inspection = inspectOnnxBytes(externalDataModel("weights.bin"), { externalData: "report" });
    expect(inspection.externalDataLocations).toEqual(["weights.bin"]);
  });

  it("names the tensor and the location of external data", () => {
    expect(() => inspectOnnxBytes(externalDataModel("../secret"))).toThrow(/"w".*"\.\.\/secret"/u);
  });

  it("answers every prefix of a model with a code", () => {
    const whole = digitModel("1.0.0-int8");
    const codes = new Set<string>();
    for (let length = 0; length < whole.length; length += 1) codes.add(codeOf(whole.subarray(0, length)));
    codes.delete("accepted"); // a cut between two fields at the very end leaves a complete, smaller model
    expect([...codes].toSorted()).toEqual(["model_truncated", "not_onnx", "unsupported_opset"]);
  });

  it("answers flipped and random bytes with a code", () => {
    const whole = digitModel("1.0.0-int8");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 20 }), (flips) => {
        const copy = Uint8Array.from(whole);
        for (const [position, byte] of flips) copy[position] = byte;
        codeOf(copy);
      }),
      { numRuns: 400 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
        expect(codeOf(bytes)).not.toBe("accepted");
      }),
      { numRuns: 400 },
    );
  });
});

describe("inspection of a model file", () => {
  it("walks a model of 600 MB in a few megabytes", async () => {
    const folder = mkdtempSync(join(tmpdir(), "inspect-"));
    try {
      const path = join(folder, "large.onnx");
      writeSparseModel(path, 300 * 2 ** 20);
      const before = process.memoryUsage().rss;
      const started = performance.now();
      const inspection = await inspectOnnxFile(path);
      expect(performance.now() - started).toBeLessThan(1_000);
      expect(inspection.weightBytes).toBe(600 * 2 ** 20);
      expect(process.memoryUsage().rss - before).toBeLessThan(32 * 2 ** 20);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("refuses a missing file and a symbolic link", async () => {
    const folder = mkdtempSync(join(tmpdir(), "inspect-"));
    try {
      symlinkSync(new URL("digit-reader-1.0.0-fp32.onnx", digits).pathname, join(folder, "link.onnx"));
      for (const name of ["absent.onnx", "link.onnx", "."]) {
        await expect(inspectOnnxFile(join(folder, name))).rejects.toSatisfy((error) =>
          hasErrorCode(error, "model_unreadable"),
        );
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A model with two tensors of `bytes` zeros each, which take no place on the disk. */
function writeSparseModel(path: string, bytes: number): void {
  const graphParts: (Uint8Array | number)[] = [];
  const node = new ProtobufWriter().string(1, "x").string(2, "y").string(4, "Relu");
  graphParts.push(new ProtobufWriter().message(1, node).finish());
  for (const name of ["a", "b"]) {
    const head = new ProtobufWriter()
      .int(1, bytes / 4)
      .int(2, 1)
      .string(8, name)
      .finish();
    const rawHead = toHead(9, bytes);
    graphParts.push(toHead(5, head.length + rawHead.length + bytes), head, rawHead, bytes);
  }
  const graphLength = graphParts.reduce<number>(
    (sum, part) => sum + (typeof part === "number" ? part : part.length),
    0,
  );
  const opset = new ProtobufWriter().string(1, "").int(2, 17);
  const parts = [new ProtobufWriter().int(1, 8).message(8, opset).finish(), toHead(7, graphLength), ...graphParts];
  const fd = openSync(path, "w");
  let position = 0;
  for (const part of parts) {
    if (typeof part !== "number") writeSync(fd, part, 0, part.length, position);
    position += typeof part === "number" ? part : part.length;
  }
  ftruncateSync(fd, position);
  closeSync(fd);
}

/** Tag and length of a field whose bytes follow elsewhere. */
function toHead(field: number, length: number): Uint8Array {
  const tag = new ProtobufWriter().int(field, length).finish();
  tag[0]! += 2;
  return tag;
}

/** A sparse initializer of one value, and a dense shape of so many elements. */
function toSparse(elements: number): Uint8Array {
  const values = new ProtobufWriter().int(1, 1).int(2, 1).string(8, "w").bytes(9, new Uint8Array(4));
  const indices = new ProtobufWriter().int(1, 1).int(2, 7).bytes(9, new Uint8Array(8));
  const sparse = new ProtobufWriter().message(1, values).message(2, indices).int(3, elements);
  const node = new ProtobufWriter().string(1, "x").string(2, "y").string(4, "Relu");
  return toFile(new ProtobufWriter().message(1, node).message(15, sparse));
}

function toTyped(write: (writer: ProtobufWriter) => ProtobufWriter): Uint8Array {
  const node = new ProtobufWriter().string(1, "x").string(2, "y").string(4, "Relu");
  return toFile(new ProtobufWriter().message(1, node).message(5, write(new ProtobufWriter().string(8, "w"))));
}

function toTraining(): Uint8Array {
  const node = new ProtobufWriter().string(1, "x").string(2, "y").string(4, "Relu");
  return toFile(
    new ProtobufWriter().message(1, node),
    new ProtobufWriter().message(1, new ProtobufWriter().string(2, "t")),
  );
}

function toFile(graph: ProtobufWriter, training?: ProtobufWriter): Uint8Array {
  const opset = new ProtobufWriter().string(1, "").int(2, 17);
  const model = new ProtobufWriter().int(1, 8).message(7, graph).message(8, opset);
  return (training === undefined ? model : model.message(20, training)).finish();
}
