import { onnxNames, type Datatype } from "../tensor.ts";
import {
  buildOnnxModel,
  type WritableDataType,
  type WrittenGraph,
  type WrittenNode,
  type WrittenTensor,
} from "./onnx-writer.ts";

/** Deterministic weights in -0.5..0.5 (linear congruential generator of Numerical Recipes). */
export function toWeights(count: number, seed: number): Float32Array {
  const weights = new Float32Array(count);
  let state = seed >>> 0;
  for (let index = 0; index < count; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    weights[index] = state / 2 ** 32 - 0.5;
  }
  return weights;
}

export interface MlpOptions {
  /** Width of the layers, input first: [64, 128, 10]. */
  readonly widths: readonly number[];
  /** Ends in Softmax over the last axis. Default true. */
  readonly softmax?: boolean;
  readonly seed?: number;
}

/** Multi-layer perceptron: input `x` float32 [batch, widths[0]], output `y` float32 [batch, last width]. */
export function mlpModel(options: MlpOptions): Uint8Array<ArrayBuffer> {
  const { widths, softmax = true, seed = 1 } = options;
  const nodes: WrittenNode[] = [];
  const initializers: WrittenTensor[] = [];
  let from = "x";
  for (let layer = 0; layer + 1 < widths.length; layer += 1) {
    const rows = widths[layer]!;
    const columns = widths[layer + 1]!;
    const scale = 2 / Math.sqrt(rows);
    const data = toWeights(rows * columns, seed + layer).map((weight) => weight * scale);
    initializers.push({ name: `w${layer}`, type: "float32", dims: [rows, columns], data });
    nodes.push({ op: "MatMul", inputs: [from, `w${layer}`], outputs: [`h${layer}`] });
    from = `h${layer}`;
    if (layer + 2 < widths.length) {
      nodes.push({ op: "Relu", inputs: [from], outputs: [`r${layer}`] });
      from = `r${layer}`;
    }
  }
  nodes.push({ op: softmax ? "Softmax" : "Identity", inputs: [from], outputs: ["y"] });
  return buildOnnxModel({
    graph: {
      nodes,
      initializers,
      inputs: [{ name: "x", type: "float32", shape: ["batch", widths[0]!] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", widths.at(-1)!] }],
    },
  });
}

export interface ConvOptions {
  /** Input `image` float32 [batch, 3, height, width]; 3 × 4 × height × width bytes. */
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** Convolutions of 3×3 after the first; each adds 18 × channels² × height × width floating-point operations. */
  readonly depth: number;
}

/** Image network of a chosen cost: output `score` float32 [batch, channels, 1, 1]. */
export function convModel(options: ConvOptions): Uint8Array<ArrayBuffer> {
  const { height, width, channels, depth } = options;
  const nodes: WrittenNode[] = [];
  const initializers: WrittenTensor[] = [];
  let from = "image";
  for (let layer = 0; layer <= depth; layer += 1) {
    const inputChannels = layer === 0 ? 3 : channels;
    const data = toWeights(channels * inputChannels * 9, 7 + layer).map(
      (weight) => weight / Math.sqrt(inputChannels * 9),
    );
    initializers.push({ name: `k${layer}`, type: "float32", dims: [channels, inputChannels, 3, 3], data });
    nodes.push({
      op: "Conv",
      inputs: [from, `k${layer}`],
      outputs: [`c${layer}`],
      attributes: [{ name: "pads", ints: [1, 1, 1, 1] }],
    });
    nodes.push({ op: "Relu", inputs: [`c${layer}`], outputs: [`a${layer}`] });
    from = `a${layer}`;
  }
  nodes.push({ op: "GlobalAveragePool", inputs: [from], outputs: ["score"] });
  return buildOnnxModel({
    graph: {
      nodes,
      initializers,
      inputs: [{ name: "image", type: "float32", shape: ["batch", 3, height, width] }],
      outputs: [{ name: "score", type: "float32", shape: ["batch", channels, 1, 1] }],
    },
  });
}

const condition = { name: "go", type: "bool", dims: [], data: Uint8Array.of(1) } as const;

export interface LoopOptions {
  /**
   * Default 2^63 − 1, as exporters write where the condition decides: it never ends, and nothing in the runtime can stop it.
   * `asked`: every request says, in an input `trips` of one int64.
   */
  readonly trips?: bigint | "asked";
  /** Shape of input `x` and output `y`. Default [4]. */
  readonly shape?: readonly (number | string)[];
}

/** A loop that doubles `x` in every round. */
export function endlessLoopModel(options: LoopOptions = {}): Uint8Array<ArrayBuffer> {
  const { trips = 2n ** 63n - 1n, shape = [4] } = options;
  const body: WrittenGraph = {
    nodes: [
      { op: "Identity", inputs: ["go_in"], outputs: ["go_out"] },
      { op: "Add", inputs: ["state_in", "state_in"], outputs: ["state_out"] },
    ],
    inputs: [
      { name: "round", type: "int64", shape: [] },
      { name: "go_in", type: "bool", shape: [] },
      { name: "state_in", type: "float32", shape },
    ],
    outputs: [
      { name: "go_out", type: "bool", shape: [] },
      { name: "state_out", type: "float32", shape },
    ],
  };
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "Loop", inputs: ["trips", "go", "x"], outputs: ["y"], attributes: [{ name: "body", graph: body }] },
      ],
      initializers: [
        ...(trips === "asked"
          ? []
          : [{ name: "trips", type: "int64" as const, dims: [], data: BigInt64Array.of(trips) }]),
        condition,
      ],
      inputs: [
        { name: "x", type: "float32", shape },
        ...(trips === "asked" ? [{ name: "trips", type: "int64" as const, shape: [1] }] : []),
      ],
      outputs: [{ name: "y", type: "float32", shape }],
    },
  });
}

/** `If` inside `If`, `depth` levels, both branches filled: 2^depth leaves. */
export function nestedIfModel(depth: number): Uint8Array<ArrayBuffer> {
  const branch = (level: number): WrittenGraph => ({
    nodes:
      level === 0
        ? [{ op: "Identity", inputs: ["x"], outputs: [`y${level}`] }]
        : [
            {
              op: "If",
              inputs: ["go"],
              outputs: [`y${level}`],
              attributes: [
                { name: "then_branch", graph: branch(level - 1) },
                { name: "else_branch", graph: branch(level - 1) },
              ],
            },
          ],
    outputs: [{ name: `y${level}`, type: "float32", shape: [4] }],
  });
  const top = branch(depth);
  const inputs = [{ name: "x", type: "float32", shape: [4] }] as const;
  return buildOnnxModel({ graph: { ...top, inputs, initializers: [condition] } });
}

/** One MatMul `x` [batch, 4] × `w` [4, 2] whose weights are said to lie in another file. */
export function externalDataModel(location: string): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [{ op: "MatMul", inputs: ["x", "w"], outputs: ["y"] }],
      initializers: [
        { name: "w", type: "float32", dims: [4, 2], data: new Float32Array(8), externalLocation: location },
      ],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 2] }],
    },
  });
}

/** Weights stored as float16 and cast to float32 before the MatMul: `x` [batch, 4] → `y` [batch, 2], all weights 1. */
export function float16Model(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "Cast", inputs: ["w"], outputs: ["w32"], attributes: [{ name: "to", int: 1 }] },
        { op: "MatMul", inputs: ["x", "w32"], outputs: ["y"] },
      ],
      initializers: [{ name: "w", type: "float16", dims: [4, 2], data: new Uint16Array(8).fill(0x3c00) }],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 2] }],
    },
  });
}

/** Opset 21 blocked int4 weights, `x` [batch, 32] → `y` [batch, 2]; every weight is 1 × scale 0.5. */
export function int4Model(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    irVersion: 10,
    opsets: [{ domain: "", version: 21 }],
    graph: {
      nodes: [
        {
          op: "DequantizeLinear",
          inputs: ["w", "scale"],
          outputs: ["w32"],
          attributes: [
            { name: "axis", int: 0 },
            { name: "block_size", int: 16 },
          ],
        },
        { op: "MatMul", inputs: ["x", "w32"], outputs: ["y"] },
      ],
      initializers: [
        { name: "w", type: "int4", dims: [32, 2], data: new Uint8Array(32).fill(0x11) },
        { name: "scale", type: "float32", dims: [2, 2], data: new Float32Array(4).fill(0.5) },
      ],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 32] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 2] }],
    },
  });
}

/** DynamicQuantizeLinear and MatMulInteger: `x` [batch, 4] → `y` int32 [batch, 2]. */
export function dynamicQuantizationModel(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "DynamicQuantizeLinear", inputs: ["x"], outputs: ["xq", "xs", "xz"] },
        { op: "MatMulInteger", inputs: ["xq", "w", "xz"], outputs: ["y"] },
      ],
      initializers: [{ name: "w", type: "int8", dims: [4, 2], data: Int8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "int32", shape: ["batch", 2] }],
    },
  });
}

/** `x` FP32 [batch, 4] → `y` = x + x. */
export function doublingModel(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 4] }],
    },
  });
}

/** Loads, and fails in every run whose `x` does not have `size` elements. */
export function reshapeModel(size: bigint): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [{ op: "Reshape", inputs: ["x", "shape"], outputs: ["y"] }],
      initializers: [{ name: "shape", type: "int64", dims: [1], data: BigInt64Array.of(size) }],
      inputs: [{ name: "x", type: "float32", shape: ["n"] }],
      outputs: [{ name: "y", type: "float32", shape: ["m"] }],
    },
  });
}

/** `x` FP32 [4] → `y`: loads, runs on zeros, and fails in every run in which a value of `x` is 1 or more. */
export function indexingModel(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "Cast", inputs: ["x"], outputs: ["index"], attributes: [{ name: "to", int: 7 }] },
        { op: "Gather", inputs: ["table", "index"], outputs: ["y"] },
      ],
      initializers: [{ name: "table", type: "float32", dims: [1], data: Float32Array.of(1) }],
      inputs: [{ name: "x", type: "float32", shape: [4] }],
      outputs: [{ name: "y", type: "float32", shape: [4] }],
    },
  });
}

/** `x` FP32 [batch, 4] → `y` = the highest of each row of x + x as 1: an Add, and a Hardmax, which WebGPU does not have. */
export function hardmaxModel(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "Add", inputs: ["x", "x"], outputs: ["twice"] },
        { op: "Hardmax", inputs: ["twice"], outputs: ["y"] },
      ],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 4] }],
    },
  });
}

/** Answers not-a-number for every negative value of `x` [batch, 4]: the square root of what comes in. */
export function squareRootModel(): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [{ op: "Sqrt", inputs: ["x"], outputs: ["y"] }],
      inputs: [{ name: "x", type: "float32", shape: ["batch", 4] }],
      outputs: [{ name: "y", type: "float32", shape: ["batch", 4] }],
    },
  });
}

/** Asks the runtime for `elements` float32 values at the first run (4 bytes each), from a file of 200 bytes. */
export function hungryModel(elements: bigint): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "Shape", inputs: ["x"], outputs: ["ones"] },
        { op: "Mul", inputs: ["ones", "count"], outputs: ["shape"] },
        { op: "ConstantOfShape", inputs: ["shape"], outputs: ["big"] },
        { op: "ReduceMax", inputs: ["big"], outputs: ["y"], attributes: [{ name: "keepdims", int: 0 }] },
      ],
      initializers: [{ name: "count", type: "int64", dims: [1], data: BigInt64Array.of(elements) }],
      inputs: [{ name: "x", type: "float32", shape: ["rows"] }],
      outputs: [{ name: "y", type: "float32", shape: [] }],
    },
  });
}

/** Has the runtime fill `elements` float32 values while it loads the model: they depend on no input, so it works them out before. */
export function hungryLoadModel(elements: bigint): Uint8Array<ArrayBuffer> {
  return buildOnnxModel({
    graph: {
      nodes: [
        { op: "ConstantOfShape", inputs: ["shape"], outputs: ["big"] },
        { op: "ReduceMax", inputs: ["big"], outputs: ["top"], attributes: [{ name: "keepdims", int: 0 }] },
        { op: "Add", inputs: ["x", "top"], outputs: ["y"] },
      ],
      initializers: [{ name: "shape", type: "int64", dims: [1], data: BigInt64Array.of(elements) }],
      inputs: [{ name: "x", type: "float32", shape: [4] }],
      outputs: [{ name: "y", type: "float32", shape: [4] }],
    },
  });
}

/** Passes its input on, whatever type the runtime knows: one node, one row per element. */
export function identityModel(type: WritableDataType): Uint8Array<ArrayBuffer> {
  const value = (name: string) => ({ name, type, shape: ["rows"] });
  return buildOnnxModel({
    graph: {
      nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
      inputs: [value("x")],
      outputs: [value("y")],
    },
  });
}

/** The same by the protocol's name of the type. */
export function identityOf(datatype: Datatype): Uint8Array<ArrayBuffer> {
  return identityModel(onnxNames[datatype]);
}

/** Turns text to upper case (StringNormalizer, opset 10): a model whose input and output are strings. */
export function upperCaseModel(): Uint8Array<ArrayBuffer> {
  const value = (name: string) => ({ name, type: "string" as const, shape: ["rows"] });
  return buildOnnxModel({
    graph: {
      nodes: [
        {
          op: "StringNormalizer",
          inputs: ["x"],
          outputs: ["y"],
          attributes: [
            { name: "case_change_action", string: "UPPER" },
            // The default is a locale that a bare system does not have.
            { name: "locale", string: "C" },
          ],
        },
      ],
      inputs: [value("x")],
      outputs: [value("y")],
    },
  });
}
