import {
  isDatatype,
  toElementBytes,
  toElementCount,
  viewTensorData,
  type Datatype,
  type Tensor,
  type TensorSpec,
} from "../tensor.ts";
import type { Priority } from "../scheduler/settings.ts";
import { countStrings, decodeStrings, maxStrings } from "../string-data.ts";
import { createLongIntegerReader } from "./exact-json.ts";
import { checkJsonBounds, checkJsonElements } from "./json-bounds.ts";
import { checkTexts, parseJsonData } from "./json-data.ts";
import { ProtocolError } from "./protocol-error.ts";
import {
  isObject,
  malformed,
  parseParameters,
  parseSharedPlace,
  type JsonObject,
  type SharedRange,
} from "./request-json.ts";
import { parseOutputs, type CheckShared, type RequestedOutput } from "./requested-outputs.ts";

/** The model that a request is for, as far as parsing needs it. */
export interface TargetModel {
  readonly name: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

export interface RequestBody {
  /** The decompressed body. Binary tensors become views of it, without a copy where alignment allows. */
  readonly bytes: Uint8Array;
  /** Header Inference-Header-Content-Length; null when the request has none, so that all of it is JSON. */
  readonly jsonBytes: number | null;
  /** Takes a tensor out of shared memory, into memory of its own; absent where that is not supported. */
  readonly readShared?: (range: SharedRange) => Uint8Array;
  /** Refuses outputs that shared memory cannot take; absent where that is not supported. */
  readonly checkShared?: CheckShared;
}

export interface InferRequest {
  readonly id: string | null;
  readonly inputs: readonly Tensor[];
  /** In the order in which they are answered; every output of the model unless the request chose. */
  readonly outputs: readonly RequestedOutput[];
  /** How urgent it is; null when the request does not say. */
  readonly priority: Priority | null;
  /** How long it may wait before its run begins; null when the request does not say. */
  readonly timeoutMs: number | null;
}

export const maxTensorElements = 2 ** 31 - 1;

/**
 * Product of the dimensions that are not zero, of a tensor that has no elements. What has elements brings their bytes along,
 * so a body's limit bounds it; [0, 2147483647] brings nothing, and a sum over its first axis has two thousand million values.
 */
const maxEmptyExtent = 2 ** 24;

/** Parses a request of the Open Inference Protocol with its binary tensor extension. Throws ProtocolError. */
export function parseInferRequest(model: TargetModel, body: RequestBody): InferRequest {
  if (body.jsonBytes === 0) return parseRawBinary(model, body.bytes);
  const jsonBytes = body.jsonBytes ?? body.bytes.length;
  if (jsonBytes > body.bytes.length) {
    throw malformed(`Inference-Header-Content-Length is ${jsonBytes}, the body has ${body.bytes.length} bytes`);
  }
  const request = parseObject(body.bytes.subarray(0, jsonBytes));
  const inputs = parseInputs(model, request["inputs"], { ...body, jsonBytes });
  const parameters = parseParameters(request);
  return {
    id: parseId(request["id"]),
    inputs,
    outputs: parseOutputs(model, request, body.checkShared),
    priority: parsePriority(parameters["priority"]),
    timeoutMs: parseTimeout(parameters["timeout"]),
  };
}

/** JSON length 0: the whole body is the model's only input (binary tensor extension, "Raw Binary Request"). */
function parseRawBinary(model: TargetModel, bytes: Uint8Array): InferRequest {
  const [spec] = model.inputs;
  if (spec === undefined || model.inputs.length !== 1) {
    throw malformed(`raw binary input needs a model with one input; '${model.name}' has ${model.inputs.length}`);
  }
  if (spec.datatype === "BYTES") return parseRawText(model, spec, bytes);
  const free = spec.shape.filter((dimension) => dimension === -1).length;
  if (free > 1) throw malformed(`the shape of input '${spec.name}' does not follow from its size`);
  const fixedBytes = toElementBytes(spec.datatype) * Math.abs(toElementCount(spec.shape));
  const rows = bytes.length / fixedBytes;
  if (!Number.isInteger(rows) || (free === 0 && rows !== 1)) {
    throw malformed(`unexpected total byte size ${bytes.length} for input '${spec.name}', expecting ${fixedBytes}`);
  }
  const shape = spec.shape.map((dimension) => (dimension === -1 ? rows : dimension));
  const data = viewTensorData(spec.datatype, bytes);
  const outputs = model.outputs.map(({ name }) => ({ name, binary: true }));
  const inputs = [{ name: spec.name, datatype: spec.datatype, shape, data }];
  return { id: null, inputs, outputs, priority: null, timeoutMs: null };
}

/** Raw bytes for a model that takes strings are one string (binary tensor extension, "Raw Binary Request"). */
function parseRawText(model: TargetModel, spec: TensorSpec, bytes: Uint8Array): InferRequest {
  const shape = spec.shape.map((dimension) => Math.abs(dimension));
  if (toElementCount(shape) !== 1) throw malformed(`raw binary input '${spec.name}' is one string, its shape has more`);
  const data = new Uint8Array(4 + bytes.length);
  new DataView(data.buffer).setUint32(0, bytes.length, true);
  data.set(bytes, 4);
  checkStrings({ name: spec.name, datatype: spec.datatype, shape }, data);
  const outputs = model.outputs.map(({ name }) => ({ name, binary: true }));
  const inputs = [{ name: spec.name, datatype: spec.datatype, shape, data }];
  return { id: null, inputs, outputs, priority: null, timeoutMs: null };
}

function parseObject(bytes: Uint8Array): JsonObject {
  checkJsonBounds(bytes);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8"));
  } catch (error) {
    throw new ProtocolError("request_malformed", "failed to parse the request JSON buffer", error);
  }
  if (!isObject(value)) throw malformed("the request is no JSON object");
  return value;
}

function parseId(id: unknown): string | null {
  if (id === undefined) return null;
  if (typeof id !== "string" || id.length > 1_024) throw malformed("'id' is no string of at most 1,024 characters");
  return id;
}

/** Takes the binary part of the body from the left, tensor by tensor, in the order of the inputs. */
function parseInputs(
  model: TargetModel,
  value: unknown,
  { bytes, jsonBytes, readShared }: RequestBody & { readonly jsonBytes: number },
): Tensor[] {
  if (!Array.isArray(value) || value.length > 256) throw malformed("'inputs' is no array of at most 256 tensors");
  const binary = bytes.subarray(jsonBytes);
  const inputs: Tensor[] = [];
  const readExact = createLongIntegerReader(bytes.subarray(0, jsonBytes));
  let offset = 0;
  let strings = 0;
  for (const item of value) {
    if (!isObject(item)) throw malformed("an input is no JSON object");
    const head = parseHead(item);
    const parameters = parseParameters(item);
    const size = parameters["binary_data_size"];
    if (parameters["shared_memory_region"] !== undefined) {
      const range = parseSharedRange(head, item, parameters);
      if (readShared === undefined || head.datatype === "BYTES")
        throw new ProtocolError("not_supported", `input '${head.name}': shared memory is not supported for it`);
      inputs.push({ ...head, data: viewTensorData(head.datatype, readShared(range)) });
      continue;
    }
    if (size === undefined) {
      const { data } = item;
      checkJsonElements(head.name, toElementCount(head.shape));
      const restore = () => readExact(data, ["inputs", inputs.length]);
      inputs.push({ ...head, data: parseJsonData(head, data, restore) });
      continue;
    }
    if (item["data"] !== undefined) throw malformed(`input '${head.name}' has both 'data' and binary data`);
    const fixed = toElementCount(head.shape) * toElementBytes(head.datatype);
    // Only the tensor's own parameter says how long strings are together.
    const expected = head.datatype === "BYTES" ? toByteCount(head.name, size) : fixed;
    if (size !== expected) {
      throw malformed(`unexpected total byte size ${describe(size)} for input '${head.name}', expecting ${expected}`);
    }
    if (offset + expected > binary.length) throw malformed(`the body ends inside the data of input '${head.name}'`);
    const data = viewTensorData(head.datatype, binary.subarray(offset, offset + expected));
    if (head.datatype === "BYTES") {
      strings += toElementCount(head.shape);
      checkWanted(model, head, strings);
      checkStrings(head, data as Uint8Array);
    }
    inputs.push({ ...head, data });
    offset += expected;
  }
  if (offset !== binary.length) throw malformed(`unexpected ${binary.length - offset} bytes after the last input`);
  return inputs;
}

/** For errors: what is no number may be as large as the request. */
function describe(size: unknown): string {
  if (typeof size === "string") return JSON.stringify(size.slice(0, 30));
  return typeof size === "object" && size !== null ? "of another kind" : String(size);
}

function toByteCount(name: string, size: unknown): number {
  if (Number.isSafeInteger(size) && Number(size) >= 0) return Number(size);
  throw malformed(`'binary_data_size' of input '${name}' is no count`);
}

/** Text is looked at string by string: what no input takes, or takes twice, would keep everybody waiting for nothing. */
function checkWanted(model: TargetModel, { name, datatype }: Omit<Tensor, "data">, strings: number): void {
  if (!model.inputs.some((spec) => spec.name === name && spec.datatype === datatype))
    throw malformed(`model '${model.name}' has no input '${name}' of strings`);
  if (strings > maxStrings) throw malformed(`the inputs have ${strings} strings, at most ${maxStrings} are read`);
}

function checkStrings(head: Omit<Tensor, "data">, data: Uint8Array): void {
  const expected = toElementCount(head.shape);
  const count = countStrings(data);
  if (count === null) throw malformed(`the binary data of input '${head.name}' are no whole strings`);
  if (count !== expected)
    throw malformed(`unexpected number of string elements ${count} for input '${head.name}', expecting ${expected}`);
  // The runtime takes text; what it would make of other bytes is not what was sent.
  const texts = decodeStrings(data);
  if (texts === null) throw malformed(`the strings of input '${head.name}' are no UTF-8`);
  checkTexts(head.name, texts);
}

function parseSharedRange(head: Omit<Tensor, "data">, item: JsonObject, parameters: JsonObject): SharedRange {
  const place = parseSharedPlace(`input '${head.name}'`, parameters);
  const size = parameters["shared_memory_byte_size"];
  if (item["data"] !== undefined || parameters["binary_data_size"] !== undefined)
    throw malformed(`input '${head.name}' has data beside its shared memory`);
  const byteSize = toElementCount(head.shape) * toElementBytes(head.datatype);
  if (size !== byteSize) {
    throw malformed(`unexpected shared memory size ${describe(size)} for input '${head.name}', expecting ${byteSize}`);
  }
  return { ...place, byteSize };
}

function parseHead(item: JsonObject): { name: string; datatype: Datatype; shape: number[] } {
  const { name, datatype, shape } = item;
  if (typeof name !== "string" || name.length > 1_024) throw malformed("an input has no 'name'");
  if (typeof datatype !== "string" || !isDatatype(datatype)) throw malformed(`input '${name}' has no known 'datatype'`);
  if (!Array.isArray(shape) || shape.length > 16)
    throw malformed(`input '${name}' has no 'shape' of at most 16 numbers`);
  let elements = 1;
  let extent = 1;
  const dimensions: number[] = [];
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0 || dimension > maxTensorElements) {
      throw malformed(`input '${name}' has a 'shape' that is not made of counts`);
    }
    elements *= Number(dimension);
    if (dimension !== 0) extent *= Number(dimension);
    dimensions.push(Number(dimension));
    // A zero would hide how large the others are together; both factors are below 2^31, so the product is exact.
    if (extent > maxTensorElements) throw malformed(`input '${name}' has more than ${maxTensorElements} elements`);
  }
  if (elements === 0 && extent > maxEmptyExtent)
    throw malformed(
      `input '${name}' has no elements, and dimensions that are more than ${maxEmptyExtent} without its zeros`,
    );
  return { name, datatype, shape: dimensions };
}

/** A name, or Triton's number: 0 is the model's default, 1 the most urgent, and every larger one is less urgent. */
function parsePriority(value: unknown): Priority | null {
  if (value === undefined || value === 0) return null;
  if (value === 1 || value === "realtime") return "realtime";
  if (value === 2 || value === "normal") return "normal";
  if (value === "batch" || (Number.isSafeInteger(value) && Number(value) > 2)) return "batch";
  throw malformed("parameter 'priority' is none of realtime, normal, batch, 0, 1, 2 …");
}

/** Microseconds, as Triton's parameter of this name; 0 is no limit. */
function parseTimeout(value: unknown): number | null {
  if (value === undefined || value === 0) return null;
  if (!Number.isSafeInteger(value) || Number(value) < 0 || Number(value) > 3_600_000_000) {
    throw malformed("parameter 'timeout' is no count of microseconds up to an hour");
  }
  return Number(value) / 1_000;
}
