import { toErrorMessage } from "@fairlead/kernel";
import { maxTensorElements } from "../open-inference/infer-request.ts";
import { restoreLongIntegers } from "../open-inference/exact-json.ts";
import { parseJsonData } from "../open-inference/json-data.ts";
import { RuntimeError } from "../runtime-error.ts";
import { countStrings } from "../string-data.ts";
import { toElementBytes, viewTensorData, type Tensor, type TensorSpec } from "../tensor.ts";

/** What an answer must be an answer to. */
export interface ExpectedAnswer {
  readonly id: string;
  readonly model: string;
  readonly outputs: readonly TensorSpec[];
}

export interface AnswerBody {
  readonly headerLength: string | null;
  readonly bytes: Uint8Array;
}

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The outputs of a run, in the model's order, from what a server answered. Everything is checked against the model: a
 * server may be broken, and what it says decides nothing here but the values of the tensors. Not-a-number is a value.
 * @throws RuntimeError `inference_failed`
 */
export function parseInferAnswer(expected: ExpectedAnswer, body: AnswerBody): readonly Tensor[] {
  const { bytes } = body;
  const jsonBytes = body.headerLength === null ? bytes.length : parseHeaderLength(body.headerLength, bytes.length);
  const answer = parseObject(bytes.subarray(0, jsonBytes));
  const { id, model_name: model, outputs: listed } = answer;
  if (id !== undefined && id !== expected.id) throw wrong("it answers another request");
  if (model !== undefined && model !== expected.model) throw wrong("it is of another model");
  if (!Array.isArray(listed)) throw wrong("it has no array 'outputs'");
  const { length } = expected.outputs;
  if (listed.length !== length) throw wrong(`it has ${listed.length} outputs, the model has ${length}`);
  const binary = bytes.subarray(jsonBytes);
  const found = new Map<string, Tensor>();
  let offset = 0;
  for (const [index, item] of listed.entries()) {
    if (!isObject(item)) throw wrong("an output is no JSON object");
    const head = parseHead(expected.outputs, item);
    if (found.has(head.spec.name)) throw wrong(`output '${head.spec.name}' is there twice`);
    const restore = () => restoreLongIntegers(item["data"], bytes.subarray(0, jsonBytes), ["outputs", index]);
    const tensor = readTensor(head, { item, restore }, binary.subarray(offset));
    if (tensor.kind === "binary") offset += tensor.data.byteLength;
    found.set(head.spec.name, {
      name: head.spec.name,
      datatype: head.spec.datatype,
      shape: head.shape,
      data: tensor.data,
    });
  }
  if (offset !== binary.length) throw wrong(`${binary.length - offset} bytes follow the last output`);
  return expected.outputs.map((spec) => {
    const tensor = found.get(spec.name);
    if (tensor === undefined) throw wrong(`output '${spec.name}' is missing`);
    return tensor;
  });
}

function parseHeaderLength(text: string, available: number): number {
  // At most 15 digits, so that the number is exact.
  if (!/^\d{1,15}$/u.test(text)) throw wrong("Inference-Header-Content-Length is no count");
  const length = Number(text);
  if (length > available)
    throw wrong(`Inference-Header-Content-Length is ${length}, the answer has ${available} bytes`);
  return length;
}

function parseObject(bytes: Uint8Array): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw wrong("it is no JSON", error);
  }
  if (!isObject(value)) throw wrong("it is no JSON object");
  return value;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface OutputHead {
  readonly spec: TensorSpec;
  readonly shape: readonly number[];
  readonly elements: number;
}

function parseHead(specs: readonly TensorSpec[], item: JsonObject): OutputHead {
  const { name, datatype, shape } = item;
  const spec = specs.find((candidate) => candidate.name === name);
  if (spec === undefined) throw wrong(`output ${show(name)} is none of the model's`);
  if (datatype !== spec.datatype)
    throw wrong(`output '${spec.name}' is ${show(datatype)}, the model says '${spec.datatype}'`);
  if (!Array.isArray(shape) || shape.length !== spec.shape.length || !shape.every(isDimension)) {
    throw wrong(`output '${spec.name}' has the shape ${show(shape)}, the model says [${spec.shape.join(",")}]`);
  }
  let elements = 1;
  for (const [axis, dimension] of shape.entries()) {
    const said = spec.shape[axis] ?? -1;
    if (said !== -1 && said !== dimension) {
      throw wrong(`output '${spec.name}' has the shape ${show(shape)}, the model says [${spec.shape.join(",")}]`);
    }
    elements *= dimension;
    // Both factors are below 2^31, so the product is exact; a zero later would hide how large it was.
    if (elements > maxTensorElements) throw wrong(`output '${spec.name}' has more than ${maxTensorElements} elements`);
  }
  return { spec, shape, elements };
}

function isDimension(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= maxTensorElements;
}

type TensorSource = { readonly kind: "binary" | "json"; readonly data: Tensor["data"] };

interface OutputItem {
  readonly item: JsonObject;
  /** Its data with integers that JSON.parse cannot hold. */
  readonly restore: () => unknown;
}

function readTensor(head: OutputHead, { item, restore }: OutputItem, binary: Uint8Array): TensorSource {
  const { spec, elements } = head;
  const { parameters = {}, data } = item;
  if (!isObject(parameters)) throw wrong(`output '${spec.name}' has parameters that are no JSON object`);
  const size = parameters["binary_data_size"];
  if (size === undefined) return { kind: "json", data: readJson(head, data, restore) };
  if (data !== undefined) throw wrong(`output '${spec.name}' has both 'data' and binary data`);
  const fixed = elements * toElementBytes(spec.datatype);
  const strings = spec.datatype === "BYTES";
  const expected = strings && Number.isSafeInteger(size) && Number(size) >= 0 ? Number(size) : fixed;
  if (size !== expected)
    throw wrong(`output '${spec.name}' has a binary_data_size of ${show(size)}, its shape needs ${expected}`);
  if (expected > binary.length) throw wrong(`the answer ends inside the data of output '${spec.name}'`);
  const bytes = binary.subarray(0, expected);
  if (spec.datatype === "BOOL" && bytes.some((byte) => byte > 1))
    throw wrong(`output '${spec.name}' holds a byte that is no BOOL`);
  if (strings && countStrings(bytes) !== elements)
    throw wrong(`output '${spec.name}' is not made of ${elements} strings`);
  return { kind: "binary", data: viewTensorData(spec.datatype, bytes) };
}

function readJson({ spec, shape }: OutputHead, data: unknown, restore: () => unknown): Tensor["data"] {
  const { name, datatype } = spec;
  // JSON text of this many elements cannot have been in the answer: do not take memory for them.
  if (!Array.isArray(data)) throw wrong(`output '${name}' has no data`);
  try {
    return parseJsonData({ name, datatype, shape: boundShape(shape, data) }, data, restore);
  } catch (error) {
    throw wrong(`output '${name}': ${toErrorMessage(error).replaceAll("input", "output")}`, error);
  }
}

/** Counts what is there before anything is allocated by what is said to be there. */
function boundShape(shape: readonly number[], data: readonly unknown[]): readonly number[] {
  const said = shape.reduce((product, dimension) => product * dimension, 1);
  const there = countLeaves(data, 0);
  if (there !== said) throw new Error(`${there} elements, the shape says ${said}`);
  return shape;
}

function countLeaves(data: readonly unknown[], depth: number): number {
  if (depth > 16) throw new Error("nested deeper than 16 levels");
  let count = 0;
  for (const value of data) count += Array.isArray(value) ? countLeaves(value, depth + 1) : 1;
  return count;
}

function show(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 120);
}

function wrong(message: string, cause?: unknown): RuntimeError {
  return new RuntimeError("inference_failed", `the server's answer cannot be used: ${message}`, cause);
}
