import { createTensorData, toElementCount, type Datatype, type TensorData } from "../tensor.ts";
import { decodeStrings, encodeStrings, maxStrings } from "../string-data.ts";
import { hasLongIntegers } from "./exact-json.ts";
import { ProtocolError } from "./protocol-error.ts";

interface Range {
  readonly min: number;
  readonly max: number;
}

const integerRanges: Readonly<Partial<Record<Datatype, Range>>> = {
  UINT8: { min: 0, max: 255 },
  UINT16: { min: 0, max: 65_535 },
  UINT32: { min: 0, max: 4_294_967_295 },
  INT8: { min: -128, max: 127 },
  INT16: { min: -32_768, max: 32_767 },
  INT32: { min: -2_147_483_648, max: 2_147_483_647 },
};

/** Where elements go while nested arrays are walked. */
interface Sink {
  readonly name: string;
  readonly datatype: Datatype;
  readonly target: TensorData;
  /** The target's bits as what they mean; null for other datatypes. */
  readonly halves: Float16Array | null;
  position: number;
}

/**
 * The `data` of a JSON tensor, flat or nested, as typed elements. Throws ProtocolError; nothing is rounded or clipped.
 * @param restore gives the same data with its integers beyond 2^53 as bigint; without it they are refused
 */
export function parseJsonData(
  head: { readonly name: string; readonly datatype: Datatype; readonly shape: readonly number[] },
  data: unknown,
  restore?: () => unknown,
): TensorData {
  const wide = head.datatype === "INT64" || head.datatype === "UINT64";
  if (wide && restore !== undefined && hasLongIntegers(data)) return parseJsonData(head, restore());
  const { name, datatype, shape } = head;
  if (!Array.isArray(data)) throw malformed(`input '${name}' has no data array`);
  const count = toElementCount(shape);
  if (datatype === "BYTES") return parseStrings(name, data, count);
  if (datatype === "FP32" && data.length === count) {
    const target = new Float32Array(count);
    if (fillFlat(data, target) === count) return target;
  }
  const target = createTensorData(datatype, count);
  const halves = datatype === "FP16" ? new Float16Array(target.buffer as ArrayBuffer, target.byteOffset, count) : null;
  const sink: Sink = { name, datatype, target, halves, position: 0 };
  walk(sink, data, 0);
  if (sink.position !== count) throw malformed(countMessage(name, sink.position, count));
  return sink.target;
}

function parseStrings(name: string, data: readonly unknown[], count: number): Uint8Array {
  if (count > maxStrings) throw malformed(`input '${name}' has more than ${maxStrings} strings`);
  const strings = (data as readonly unknown[]).flat(16);
  const texts = strings.filter((text) => typeof text === "string" && text.isWellFormed()) as string[];
  if (texts.length !== strings.length) throw malformed(`input '${name}' holds a value that is no string`);
  if (texts.length !== count) throw malformed(countMessage(name, texts.length, count));
  checkTexts(name, texts);
  return encodeStrings(texts);
}

/** The runtime for Node takes a string up to its first NUL, and would run the model on another text than was sent. */
export function checkTexts(name: string, texts: readonly string[]): void {
  if (texts.some((text) => text.includes("\0")))
    throw new ProtocolError(
      "not_supported",
      `input '${name}' holds a string with a NUL character, where it would be cut`,
    );
}

/** Copies finite numbers until the target is full or an element is anything else; how many were copied. */
function fillFlat(data: readonly unknown[], target: Float32Array): number {
  for (let index = 0; index < target.length; index += 1) {
    const value = data[index];
    if (typeof value !== "number") return index;
    target[index] = value;
    // Looked at where it lies: what a double holds may be infinite here.
    if (!Number.isFinite(target[index])) return index;
  }
  return target.length;
}

function walk(sink: Sink, data: readonly unknown[], depth: number): void {
  if (depth > 16) throw malformed(`input '${sink.name}' is nested deeper than 16 levels`);
  for (const value of data) {
    if (Array.isArray(value)) walk(sink, value, depth + 1);
    else put(sink, value);
  }
}

function put(sink: Sink, value: unknown): void {
  const { target, datatype, position } = sink;
  if (position >= target.length) throw malformed(countMessage(sink.name, `more than ${position}`, target.length));
  if (target instanceof BigInt64Array || target instanceof BigUint64Array) target[position] = toBigInt(sink, value);
  else if (datatype === "BOOL") target[position] = toBoolean(sink, value);
  else if (sink.halves !== null) sink.halves[position] = toHalf(sink, toFinite(sink, value));
  else if (datatype === "BF16") throw malformed(`input '${sink.name}': BF16 travels as binary data only`);
  else target[position] = toNumber(sink, value);
  sink.position = position + 1;
}

function toFinite(sink: Sink, value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw malformed(`input '${sink.name}' holds a value that is no finite number`);
  }
  return value;
}

function toNumber(sink: Sink, value: unknown): number {
  const number = toFinite(sink, value);
  if (sink.datatype === "FP32" && !Number.isFinite(Math.fround(number))) throw toOutOfRange(sink, number);
  const range = integerRanges[sink.datatype];
  if (range !== undefined && !(Number.isInteger(number) && number >= range.min && number <= range.max)) {
    throw toOutOfRange(sink, number);
  }
  return number;
}

function toOutOfRange({ name, datatype }: Sink, number: number): ProtocolError {
  return malformed(`input '${name}' holds ${number}, which is no ${datatype}`);
}

/** A number beyond 2^53 has lost digits: only its text, which a bigint was made of, says what was sent. */
function toBigInt({ name, datatype }: Sink, value: unknown): bigint {
  const whole = Number.isSafeInteger(value) ? BigInt(Number(value)) : value;
  if (typeof whole !== "bigint") throw malformed(`input '${name}' holds a value that is no ${datatype}`);
  const held = datatype === "UINT64" ? BigInt.asUintN(64, whole) : BigInt.asIntN(64, whole);
  if (held !== whole) throw malformed(`input '${name}' holds ${whole}, which is no ${datatype}`);
  return whole;
}

function toBoolean(sink: Sink, value: unknown): number {
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  throw malformed(`input '${sink.name}' holds a value that is no BOOL`);
}

function toHalf(sink: Sink, value: number): number {
  if (!Number.isFinite(Math.f16round(value))) throw toOutOfRange(sink, value);
  return value;
}

function countMessage(name: string, got: number | string, expected: number): string {
  return `unexpected number of elements ${got} for input '${name}', expecting ${expected}`;
}

function malformed(message: string): ProtocolError {
  return new ProtocolError("request_malformed", message);
}

/** Elements as JSON text. Throws `response_not_json` for not-a-number and infinities, which JSON does not have. */
export function toJsonData(name: string, datatype: Datatype, data: TensorData): string {
  if (datatype === "BYTES") {
    const strings = decodeStrings(data as Uint8Array);
    if (strings !== null) return JSON.stringify(strings);
    throw new ProtocolError("response_not_json", `output '${name}' holds strings that are no UTF-8`);
  }
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return `[${data.join(",")}]`;
  if (datatype === "BOOL") return `[${Array.from(data, (value) => (value === 0 ? "false" : "true")).join(",")}]`;
  if (datatype === "BF16") throw new ProtocolError("response_not_json", `output '${name}' is BF16`);
  const numbers =
    datatype === "FP16" ? new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length) : data;
  for (const number of numbers) {
    if (!Number.isFinite(number)) {
      throw new ProtocolError("response_not_json", `output '${name}' holds values that JSON cannot carry`);
    }
  }
  return `[${numbers.join(",")}]`;
}
