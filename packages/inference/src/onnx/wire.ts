import type { ByteSource } from "./byte-source.ts";
import { InspectionError } from "./inspection-error.ts";

/** Wire types of protobuf that occur in ONNX; groups (3, 4) do not. */
export type WireType = "varint" | "fixed64" | "bytes" | "fixed32";

const wireTypes: readonly (WireType | undefined)[] = ["varint", "fixed64", "bytes", undefined, undefined, "fixed32"];

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One field, where its bytes lie, and the number of a varint, otherwise 0. */
export interface Field extends Range {
  readonly number: number;
  readonly wire: WireType;
  readonly value: number;
}

export interface WireLimits {
  /** Fields read over the whole walk. */
  readonly maxFields: number;
  /** Of one name, and of all that are read. */
  readonly maxStringBytes: number;
  readonly maxNamesBytes: number;
}

const maxFieldNumber = 536_870_911;
/** Longest text that is read at once: what a window of the source holds is more. */
const maxViewBytes = 32_768;

/**
 * Reads protobuf fields where they lie and jumps over what is not asked for, weights above all.
 * Everything that is read is bounded: fields by `maxFields`, strings by `maxStringBytes` and `maxNamesBytes`.
 * A number has one way to be written, the shortest: serializers write no other, and readers differ in what they make of one.
 */
export class WireReader {
  readonly sizeBytes: number;
  readonly #source: ByteSource;
  readonly #limits: WireLimits;
  #fieldsRead = 0;
  #namesBytes = 0;
  #next = 0;

  constructor(source: ByteSource, limits: WireLimits) {
    this.#source = source;
    this.#limits = limits;
    this.sizeBytes = source.sizeBytes;
  }

  /** The fields of the message that fills `range`, in order: `for (const field = reader.fields(range); field.next(); )`. */
  fields(range: Range): FieldCursor {
    return new FieldCursor(this, range);
  }

  /** Position behind the last number that was read. */
  get next(): number {
    return this.#next;
  }

  countField(): void {
    this.#fieldsRead += 1;
    if (this.#fieldsRead > this.#limits.maxFields)
      throw new InspectionError("model_too_complex", `more than ${this.#limits.maxFields} protobuf fields`);
  }

  /** Past the end of the file is a cut file; past the end of the enclosing message is no ONNX at all. */
  toOverrun(position: number, end: number): InspectionError {
    return end === this.sizeBytes
      ? new InspectionError("model_truncated", `the file ends inside the field at byte ${position}`)
      : new InspectionError("not_onnx", `the field at byte ${position} is longer than the message that holds it`);
  }

  /** A varint as a signed 64-bit number; beyond 2^53 the magnitude is right and the last digits are not. */
  varint(position: number, end: number): number {
    const length = Math.min(10, end - position);
    const { bytes, start } = this.#source.window(position, length);
    const from = position - start;
    const available = Math.min(length, bytes.length - from);
    let low = 0;
    let scale = 1;
    for (let index = 0; index < available; index += 1) {
      const byte = bytes[from + index] ?? 0;
      if (index === 7) return this.#longVarint(bytes.subarray(from, from + available), position);
      low += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        if (byte === 0 && index > 0) throw toPadded(position);
        this.#next = position + index + 1;
        return low;
      }
    }
    throw this.toOverrun(position, end);
  }

  #longVarint(bytes: Uint8Array, position: number): number {
    let value = 0n;
    for (let index = 0; index < bytes.length; index += 1) {
      const byte = bytes[index] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte >= 0x80) continue;
      if (byte === 0) throw toPadded(position);
      if (index === 9 && byte > 1) break;
      this.#next = position + index + 1;
      return Number(BigInt.asIntN(64, value));
    }
    if (bytes.length < 10) throw this.toOverrun(position, this.sizeBytes);
    throw new InspectionError("not_onnx", `the number at byte ${position} is longer than 64 bits`);
  }

  /** A name, whole. */
  string(field: Field): string {
    const length = this.#toTextLength(field);
    const { maxStringBytes, maxNamesBytes } = this.#limits;
    if (length > maxStringBytes)
      throw new InspectionError("model_too_complex", `a name of ${length} bytes; the most is ${maxStringBytes}`);
    this.#namesBytes += length;
    if (this.#namesBytes > maxNamesBytes)
      throw new InspectionError("model_too_complex", `names of more than ${maxNamesBytes} bytes together`);
    return this.#text(field.start, length);
  }

  /** At most `maxBytes` of a text, for values that may be cut. */
  prefix(field: Field, maxBytes: number): string {
    return this.#text(field.start, Math.min(this.#toTextLength(field), maxBytes));
  }

  #toTextLength(field: Field): number {
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no text`);
    return field.end - field.start;
  }

  #text(position: number, length: number): string {
    const { bytes, start } = this.#window(position, length);
    return bytes.toString("utf8", position - start, position - start + length);
  }

  #window(position: number, length: number) {
    const window = this.#source.window(position, Math.min(length, maxViewBytes));
    if (window.start + window.bytes.length < position + length) throw this.toOverrun(position, this.sizeBytes);
    return window;
  }

  /** Integers of a repeated field, packed or not; null when there are more than `most`. */
  integers(field: Field, most: number): number[] | null {
    if (field.wire === "varint") return [field.value];
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no integers`);
    const values: number[] = [];
    for (let position = field.start; position < field.end; position = this.#next) {
      if (values.length >= most) return null;
      values.push(this.varint(position, field.end));
    }
    return values;
  }

  /** The bytes of a small range, valid until the next call. */
  view(range: Range): DataView {
    const length = range.end - range.start;
    const { bytes, start } = this.#window(range.start, length);
    return new DataView(bytes.buffer, bytes.byteOffset + range.start - start, length);
  }

  /** Where an embedded message lies. */
  message({ wire, number, start, end }: Field): Range {
    if (wire !== "bytes") throw new InspectionError("not_onnx", `field ${number} holds no message`);
    return { start, end };
  }

  /** The length of what is not read. */
  checkLength(field: Field, maxBytes: number, what: string): number {
    const length = field.end - field.start;
    if (length <= maxBytes) return length;
    throw new InspectionError("model_too_complex", `${what} of ${length} bytes; the most is ${maxBytes}`);
  }
}

function toPadded(position: number): InspectionError {
  return new InspectionError("not_onnx", `the number at byte ${position} is written longer than it is`);
}

/** Walks the fields of one message, and is the field at which it stands: one object for all of them, since there are millions. */
class FieldCursor implements Field {
  number = 0;
  wire: WireType = "varint";
  value = 0;
  start: number;
  end: number;
  readonly #reader: WireReader;
  readonly #messageEnd: number;

  constructor(reader: WireReader, range: Range) {
    this.#reader = reader;
    this.start = range.start;
    this.end = range.start;
    this.#messageEnd = range.end;
  }

  /** @returns false behind the last field. @throws InspectionError on anything that is not protobuf */
  next(): boolean {
    const reader = this.#reader;
    const position = this.end;
    const messageEnd = this.#messageEnd;
    if (position >= messageEnd) return false;
    reader.countField();
    const tag = reader.varint(position, messageEnd);
    const wire = wireTypes[tag % 8];
    this.number = Math.floor(tag / 8);
    if (wire === undefined || this.number < 1 || this.number > maxFieldNumber)
      throw new InspectionError("not_onnx", `byte ${position} starts no protobuf field`);
    this.wire = wire;
    this.start = reader.next;
    this.value = 0;
    if (wire === "varint") {
      this.value = reader.varint(this.start, messageEnd);
      this.end = reader.next;
      return true;
    }
    let length = wire === "fixed64" ? 8 : 4;
    if (wire === "bytes") {
      length = reader.varint(this.start, messageEnd);
      this.start = reader.next;
    }
    this.end = this.start + length;
    if (length < 0 || this.end > messageEnd) throw reader.toOverrun(this.start, messageEnd);
    return true;
  }
}
