import { describe, expect, it } from "vitest";
import { buildOnnxModel, type WrittenAttribute, type WrittenNode, type WrittenTensor } from "../testing/onnx-writer.ts";
import { inspectOnnxBytes } from "./inspect.ts";
import { InspectionError } from "./inspection-error.ts";
import { madeTensorRules } from "./made-tensors.ts";

/*
 * A file of a few hundred bytes may ask for any amount of memory: a constant says how large a tensor becomes. Each such
 * operator is given numbers that are just too large and numbers that are not.
 */

const whole = (name: string, values: readonly (number | bigint)[]): WrittenTensor => ({
  ...{ name, type: "int64", dims: [values.length] },
  data: BigInt64Array.from(values, BigInt),
});
const real = (name: string, values: readonly number[]): WrittenTensor => ({
  ...{ name, type: "float32", dims: [values.length] },
  data: Float32Array.from(values),
});

interface Made {
  readonly op: string;
  /** Constants by position; what is not named is the model's input. */
  readonly constants?: Readonly<Record<number, WrittenTensor>>;
  readonly attributes?: readonly WrittenAttribute[];
  readonly inputs?: number;
}

function toModel({ op, constants = {}, attributes = [], inputs = 1 }: Made): Uint8Array {
  const [domain = "", operator] = op.includes("::") ? op.split("::") : ["", op];
  const count = Math.max(inputs, ...Object.keys(constants).map((position) => Number(position) + 1));
  const names = Array.from({ length: count }, (_, at) => constants[at]?.name ?? "x");
  const node: WrittenNode = { op: operator ?? op, domain, inputs: names, outputs: ["y"], attributes };
  const value = (name: string) => ({ name, type: "float32" as const, shape: ["rows", 4] });
  return buildOnnxModel({
    opsets: [
      { domain: "", version: 17 },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: { nodes: [node], inputs: [value("x")], outputs: [value("y")], initializers: Object.values(constants) },
  });
}

function refusalOf(bytes: Uint8Array): InspectionError | null {
  try {
    inspectOnnxBytes(bytes);
    return null;
  } catch (error) {
    if (error instanceof InspectionError) return error;
    throw error;
  }
}

const large = 2 ** 16;
const hasPads: Omit<Made, "op"> = { attributes: [{ name: "pads", ints: [large, large, 0, large] }] };
const padding = { constants: { 1: whole("c", [0, large, large, large]) } };
const range = { constants: { 0: whole("a", [0]), 1: whole("b", [2n ** 62n]), 2: whole("c", [3]) } };
const window = { constants: { 0: whole("c", [2 ** 30]) } };
const shape = { constants: { 1: whole("c", [large, large]) } };

const huge: Readonly<Record<string, Omit<Made, "op">>> = {
  AffineGrid: shape,
  AveragePool: hasPads,
  BlackmanWindow: window,
  CenterCropPad: shape,
  Col2Im: shape,
  ConstantOfShape: { constants: { 0: whole("c", [2n ** 34n]) } },
  Conv: hasPads,
  ConvInteger: hasPads,
  ConvTranspose: { attributes: [{ name: "output_shape", ints: [1, large, large] }] },
  DFT: { constants: { 1: whole("c", [2 ** 40]) } },
  Expand: { constants: { 1: whole("c", [2n ** 34n, 1]) } },
  HammingWindow: window,
  HannWindow: window,
  LpPool: hasPads,
  MaxPool: hasPads,
  MaxUnpool: { constants: { 2: whole("c", [1, 1, large, large]) } },
  MelWeightMatrix: { constants: { 0: whole("a", [large]), 1: whole("b", [large]) } },
  Multinomial: { attributes: [{ name: "sample_size", int: 2 ** 31 }] },
  OneHot: { constants: { 1: whole("c", [2 ** 30]) } },
  Pad: padding,
  QLinearConv: hasPads,
  RandomNormal: { attributes: [{ name: "shape", ints: [large, large] }], inputs: 0 },
  RandomUniform: { attributes: [{ name: "shape", ints: [2n ** 62n] }], inputs: 0 },
  Range: range,
  Resize: { constants: { 3: whole("c", [1, 1, large, large]) } },
  STFT: { constants: { 3: whole("c", [2 ** 40]) } },
  Tile: { constants: { 1: whole("c", [2 ** 27, 1]) } },
  Upsample: { constants: { 1: real("c", [large, large]) } },
  "com.microsoft::Pad": padding,
  "com.microsoft::Range": range,
};

describe("a tensor whose size a constant states", () => {
  it.each(Object.entries(huge))("A18 is not made by %s when it is huge", (op, made) => {
    expect(refusalOf(toModel({ op, ...made }))).toMatchObject({
      code: "model_too_complex",
      message: expect.stringMatching(/^it makes a tensor of .* elements; .*node 0 \(/u),
    });
  });

  it("A18 has a case for each operator that makes one", () => {
    expect(Object.keys(huge).toSorted()).toEqual([...madeTensorRules.keys()].toSorted());
  });

  it.each<[string, Made]>([
    ["scales of a Resize", { op: "Resize", constants: { 2: real("c", [1, 1, large, large]) } }],
    ["a scale of an old Upsample", { op: "Upsample", attributes: [{ name: "scales", ints: [large, large] }] }],
    ["steps of a range that are tiny", { op: "Range", constants: toRange(0, 1, 1e-12) }],
    ["steps of a range that are none", { op: "Range", constants: toRange(0, 1, 0) }],
    [
      "a shape of forty numbers",
      {
        op: "Expand",
        constants: {
          1: whole(
            "c",
            Array.from({ length: 40 }, () => 2),
          ),
        },
      },
    ],
    ["strides", { op: "ConvTranspose", attributes: [{ name: "strides", ints: [large, large] }] }],
    ["digits beyond what numbers hold", { op: "Expand", constants: { 1: whole("c", [2n ** 63n - 1n, 2n ** 62n]) } }],
  ])("A18 is refused for %s", (_, made) => {
    expect(refusalOf(toModel(made))?.code).toBe("model_too_complex");
  });

  it.each<[string, Made]>([
    ["an Expand to a batch", { op: "Expand", constants: { 1: whole("c", [1, 77, 768]) } }],
    ["a Resize to a screen", { op: "Resize", constants: { 3: whole("c", [1, 3, 1080, 1920]) } }],
    ["a Resize without scales", { op: "Resize", constants: { 1: real("r", []), 2: real("s", [1, 1, 2, 2]) } }],
    ["cropping, which is negative padding", { op: "Pad", constants: { 1: whole("c", [0, -4, 0, -4]) } }],
    ["a tensor without elements", { op: "ConstantOfShape", constants: { 0: whole("c", [0, 2n ** 40n]) } }],
    ["a range that is empty", { op: "Range", constants: toRange(5, 0, 1) }],
    ["a Reshape that finds out one size", { op: "Reshape", constants: { 1: whole("c", [-1, 4]) } }],
  ])("is admitted: %s", (_, made) => {
    expect(refusalOf(toModel(made))).toBeNull();
  });

  it("A18 is found behind a Constant, in an inner graph, and when the constant comes from the graph around it", () => {
    const expand = { op: "Expand", inputs: ["x", "size"], outputs: ["z"] };
    const constant = {
      op: "Constant",
      inputs: [],
      outputs: ["size"],
      attributes: [{ name: "value_ints", ints: [2 ** 34] }],
    };
    const then = { nodes: [expand], outputs: [{ name: "z", type: "float32" as const, shape: ["n"] }] };
    const branch = {
      ...{ op: "If", inputs: ["x"], outputs: ["y"] },
      attributes: [{ name: "then_branch", graph: then }],
    };
    const outputs = [{ name: "y", type: "float32" as const, shape: ["n"] }];
    for (const nodes of [
      [branch, constant],
      [constant, branch],
    ])
      expect(refusalOf(buildOnnxModel({ graph: { nodes, outputs } }))?.message).toMatch(
        /node \d \(If\) \/ attribute 0 "then_branch" \/ node 0 \(Expand\)$/u,
      );
  });

  it("A18 is counted together where the runtime makes it while it loads the file", () => {
    const nodes = Array.from({ length: 5 }, (_, at) => ({ op: "ConstantOfShape", inputs: ["c"], outputs: [`y${at}`] }));
    const toGraph = (size: number) =>
      buildOnnxModel({ graph: { nodes, outputs: [], initializers: [whole("c", [size])] } });
    expect(refusalOf(toGraph(2 ** 26))?.message).toMatch(/while the model is loaded; at byte \d+, node 4/u);
    expect(refusalOf(toGraph(2 ** 25))).toBeNull();
  });

  it("is not mistaken for one of the same name in another graph", () => {
    const constant = (size: number) => whole("c", [size]);
    const inner = { op: "ConstantOfShape", inputs: ["c"], outputs: ["z"] };
    const toBranch = (size: number) => ({
      nodes: [inner],
      initializers: [constant(size)],
      outputs: [{ name: "z", type: "float32" as const, shape: ["n"] }],
    });
    const node = {
      ...{ op: "If", inputs: ["x"], outputs: ["y"] },
      attributes: [
        { name: "then_branch", graph: toBranch(4) },
        { name: "else_branch", graph: toBranch(8) },
      ],
    };
    const outer = { op: "Gather", inputs: ["x", "c"], outputs: ["w"] };
    const toGraph = () =>
      buildOnnxModel({ graph: { nodes: [outer, node], outputs: [], initializers: [constant(2 ** 40)] } });
    expect(refusalOf(toGraph())).toBeNull();
  });
});

function toRange(start: number, limit: number, delta: number): Readonly<Record<number, WrittenTensor>> {
  return { 0: real("a", [start]), 1: real("b", [limit]), 2: real("c", [delta]) };
}
