import type { ByteSource } from "./byte-source.ts";
import { InspectionError } from "./inspection-error.ts";

/** Wire types of protobuf that occur in ONNX; groups (3, 4) do not. */
export type WireType = "varint" | "fixed64" | "bytes" | "fixed32";

const wireTypes: readonly (WireType | undefined)[] = ["varint", "fixed64", "bytes", undefined, undefined, "fixed32"];

export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One field. `value` is the number of a varint, otherwise 0; `range` is where its bytes lie. */
export interface Field {
  readonly number: number;
  readonly wire: WireType;
  readonly value: number;
  readonly range: Range;
}

export interface WireLimits {
  /** Fields read over the whole walk. */
  readonly maxFields: number;
  readonly maxStringBytes: number;
}

/**
 * Reads protobuf fields where they lie and jumps over what is not asked for, weights above all.
 * Everything that is read is bounded: fields by `maxFields`, strings by `maxStringBytes`.
 */
export class WireReader {
  readonly sizeBytes: number;
  readonly #source: ByteSource;
  readonly #limits: WireLimits;
  readonly #decoder = new TextDecoder("utf-8", { fatal: false });
  #fieldsRead = 0;
  #next = 0;

  constructor(source: ByteSource, limits: WireLimits) {
    this.#source = source;
    this.#limits = limits;
    this.sizeBytes = source.sizeBytes;
  }

  /** The fields of the message that fills `range`, in order. Throws InspectionError on anything that is not protobuf. */
  *fields(range: Range): Generator<Field> {
    let position = range.start;
    while (position < range.end) {
      this.#fieldsRead += 1;
      if (this.#fieldsRead > this.#limits.maxFields) {
        throw new InspectionError("model_too_complex", `more than ${this.#limits.maxFields} protobuf fields`);
      }
      const tag = this.#varint(position, range.end);
      const number = Math.floor(tag / 8);
      const wire = wireTypes[tag % 8];
      if (wire === undefined || number < 1 || number > 536_870_911) {
        throw new InspectionError("not_onnx", `byte ${position} starts no protobuf field`);
      }
      const field = this.#field({ number, wire }, this.#next, range.end);
      yield field;
      position = field.range.end;
    }
  }

  #field(head: Pick<Field, "number" | "wire">, start: number, end: number): Field {
    if (head.wire === "varint") {
      const value = this.#varint(start, end);
      return { ...head, value, range: { start, end: this.#next } };
    }
    let from = start;
    let length = head.wire === "fixed64" ? 8 : 4;
    if (head.wire === "bytes") {
      length = this.#varint(start, end);
      from = this.#next;
    }
    if (length < 0 || from + length > end) throw this.#overrun(from, end);
    return { ...head, value: 0, range: { start: from, end: from + length } };
  }

  /** Past the end of the file is a cut file; past the end of the enclosing message is no ONNX at all. */
  #overrun(position: number, end: number): InspectionError {
    return end === this.sizeBytes
      ? new InspectionError("model_truncated", `the file ends inside the field at byte ${position}`)
      : new InspectionError("not_onnx", `the field at byte ${position} is longer than the message that holds it`);
  }

  /** A varint as a signed 64-bit number; beyond 2^53 the magnitude is right and the last digits are not. */
  #varint(position: number, end: number): number {
    const bytes = this.#source.view(position, Math.min(10, end - position));
    const available = Math.min(10, end - position, bytes.length);
    let low = 0;
    let scale = 1;
    for (let index = 0; index < available; index += 1) {
      const byte = bytes[index] ?? 0;
      if (index === 7) return this.#longVarint(bytes.subarray(0, available), position);
      low += (byte & 0x7f) * scale;
      scale *= 128;
      if (byte < 0x80) {
        this.#next = position + index + 1;
        return low;
      }
    }
    throw this.#overrun(position, end);
  }

  #longVarint(bytes: Uint8Array, position: number): number {
    let value = 0n;
    for (let index = 0; index < bytes.length; index += 1) {
      const byte = bytes[index] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) {
        this.#next = position + index + 1;
        return Number(BigInt.asIntN(64, value));
      }
    }
    if (bytes.length < 10) throw this.#overrun(position, this.sizeBytes);
    throw new InspectionError("not_onnx", `the number at byte ${position} is longer than 64 bits`);
  }

  string(field: Field): string {
    const bytes = this.#bytes(field);
    return this.#decoder.decode(bytes);
  }

  /** Integers of a repeated field, packed or not. */
  integers(field: Field): number[] {
    if (field.wire === "varint") return [field.value];
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no integers`);
    const values: number[] = [];
    for (let position = field.range.start; position < field.range.end; position = this.#next) {
      if (values.length >= 64) throw new InspectionError("model_too_complex", "a tensor has more than 64 dimensions");
      values.push(this.#varint(position, field.range.end));
    }
    return values;
  }

  /** Eight bytes as a signed little-endian number; beyond 2^53 the magnitude is right and the last digits are not. */
  fixed64(field: Field): number {
    const bytes = this.#source.view(field.range.start, 8);
    if (bytes.length < 8) throw this.#overrun(field.range.start, this.sizeBytes);
    return Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigInt64(0, true));
  }

  /** Where an embedded message lies. */
  message(field: Field): Range {
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no message`);
    return field.range;
  }

  #bytes(field: Field): Uint8Array {
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no text`);
    const length = field.range.end - field.range.start;
    if (length > this.#limits.maxStringBytes) {
      throw new InspectionError("model_too_complex", `a name of ${length} bytes`);
    }
    const bytes = this.#source.view(field.range.start, length);
    if (bytes.length < length) throw this.#overrun(field.range.start, this.sizeBytes);
    return bytes.subarray(0, length);
  }

  /** At most `maxBytes` of a text, for values that may be cut. */
  prefix(field: Field, maxBytes: number): string {
    if (field.wire !== "bytes") throw new InspectionError("not_onnx", `field ${field.number} holds no text`);
    const length = Math.min(field.range.end - field.range.start, maxBytes);
    return this.#decoder.decode(this.#source.view(field.range.start, length).subarray(0, length));
  }
}
