import { ProtobufWriter } from "./protobuf-writer.ts";

/** Numbers of TensorProto.DataType (onnx.proto). */
export const onnxDataType = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
  uint4: 21,
  int4: 22,
} as const;

export type WritableDataType = keyof typeof onnxDataType;

export interface WrittenValue {
  readonly name: string;
  readonly type: WritableDataType;
  readonly shape: readonly (number | string)[];
}

export interface WrittenTensor {
  readonly name: string;
  readonly type: WritableDataType;
  readonly dims: readonly (number | bigint)[];
  readonly data: Uint8Array | Float32Array | BigInt64Array | Int32Array | Int8Array | Uint16Array;
  /** Written instead of the data, with data_location = EXTERNAL. */
  readonly externalLocation?: string;
}

export type WrittenAttribute =
  | { readonly name: string; readonly int: number | bigint }
  | { readonly name: string; readonly float: number }
  | { readonly name: string; readonly string: string }
  | { readonly name: string; readonly ints: readonly (number | bigint)[] }
  | { readonly name: string; readonly tensor: WrittenTensor }
  | { readonly name: string; readonly graph: WrittenGraph };

export interface WrittenNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: readonly WrittenAttribute[];
}

export interface WrittenGraph {
  readonly name?: string;
  readonly nodes: readonly WrittenNode[];
  readonly inputs?: readonly WrittenValue[];
  readonly outputs: readonly WrittenValue[];
  readonly initializers?: readonly WrittenTensor[];
}

export interface WrittenFunction {
  readonly name: string;
  readonly domain: string;
  readonly nodes: readonly WrittenNode[];
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface WrittenModel {
  readonly graph: WrittenGraph;
  /** Default 8. */
  readonly irVersion?: number;
  /** Default [{ domain: "", version: 17 }]. */
  readonly opsets?: readonly { readonly domain: string; readonly version: number | bigint }[];
  readonly functions?: readonly WrittenFunction[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly producer?: string;
}

/** Serialises a model in the ONNX wire format. Nothing is checked: wrong models are what tests need most. */
export function buildOnnxModel(model: WrittenModel): Uint8Array<ArrayBuffer> {
  const opsets = model.opsets ?? [{ domain: "", version: 17 }];
  const writer = new ProtobufWriter().int(1, model.irVersion ?? 8).string(2, model.producer ?? "fairlead-testing");
  writer.message(7, toGraph(model.graph));
  for (const opset of opsets) writer.message(8, toOpset(opset));
  for (const [key, value] of Object.entries(model.metadata ?? {})) {
    writer.message(14, new ProtobufWriter().string(1, key).string(2, value));
  }
  for (const fn of model.functions ?? []) writer.message(25, toFunction(fn, opsets));
  return writer.finish();
}

function toOpset(opset: { domain: string; version: number | bigint }): ProtobufWriter {
  return new ProtobufWriter().string(1, opset.domain).int(2, opset.version);
}

function toFunction(fn: WrittenFunction, opsets: NonNullable<WrittenModel["opsets"]>): ProtobufWriter {
  const writer = new ProtobufWriter().string(1, fn.name);
  for (const input of fn.inputs) writer.string(4, input);
  for (const output of fn.outputs) writer.string(5, output);
  for (const node of fn.nodes) writer.message(7, toNode(node));
  for (const opset of opsets) writer.message(9, toOpset(opset));
  return writer.string(10, fn.domain);
}

function toGraph(graph: WrittenGraph): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const node of graph.nodes) writer.message(1, toNode(node));
  writer.string(2, graph.name ?? "graph");
  for (const tensor of graph.initializers ?? []) writer.message(5, toTensor(tensor));
  for (const value of graph.inputs ?? []) writer.message(11, toValue(value));
  for (const value of graph.outputs) writer.message(12, toValue(value));
  return writer;
}

function toNode(node: WrittenNode): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const input of node.inputs) writer.string(1, input);
  for (const output of node.outputs) writer.string(2, output);
  writer.string(4, node.op);
  for (const attribute of node.attributes ?? []) writer.message(5, toAttribute(attribute));
  if (node.domain !== undefined) writer.string(7, node.domain);
  return writer;
}

function toAttribute(attribute: WrittenAttribute): ProtobufWriter {
  const writer = new ProtobufWriter().string(1, attribute.name);
  if ("int" in attribute) return writer.int(3, attribute.int).int(20, 2);
  if ("float" in attribute) return writer.float(2, attribute.float).int(20, 1);
  if ("string" in attribute) return writer.string(4, attribute.string).int(20, 3);
  if ("tensor" in attribute) return writer.message(5, toTensor(attribute.tensor)).int(20, 4);
  if ("graph" in attribute) return writer.message(6, toGraph(attribute.graph)).int(20, 5);
  for (const value of attribute.ints) writer.int(8, value);
  return writer.int(20, 7);
}

function toTensor(tensor: WrittenTensor): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const dim of tensor.dims) writer.int(1, dim);
  writer.int(2, onnxDataType[tensor.type]).string(8, tensor.name);
  if (tensor.externalLocation !== undefined) {
    const entry = new ProtobufWriter().string(1, "location").string(2, tensor.externalLocation);
    return writer.message(13, entry).int(14, 1);
  }
  const { buffer, byteOffset, byteLength } = tensor.data;
  return writer.bytes(9, new Uint8Array(buffer, byteOffset, byteLength));
}

function toValue(value: WrittenValue): ProtobufWriter {
  const shape = new ProtobufWriter();
  for (const dim of value.shape) {
    const entry = new ProtobufWriter();
    shape.message(1, typeof dim === "number" ? entry.int(1, dim) : entry.string(2, dim));
  }
  const tensor = new ProtobufWriter().int(1, onnxDataType[value.type]).message(2, shape);
  return new ProtobufWriter().string(1, value.name).message(2, new ProtobufWriter().message(1, tensor));
}
