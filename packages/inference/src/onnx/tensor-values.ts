import type { Field, Range, WireReader } from "./wire.ts";

/** Shapes have up to eight numbers, paddings up to sixteen. */
export const maxValues = 32;

type Read = (view: DataView, offset: number) => number;

/** Beyond 2^53 the magnitude is right and the last digits are not. */
const rawReaders: Readonly<Record<string, { readonly bytes: number; readonly read: Read }>> = {
  float32: { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) },
  float64: { bytes: 8, read: (view, offset) => view.getFloat64(offset, true) },
  int32: { bytes: 4, read: (view, offset) => view.getInt32(offset, true) },
  int64: { bytes: 8, read: (view, offset) => view.getInt32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true) },
  uint32: { bytes: 4, read: (view, offset) => view.getUint32(offset, true) },
  uint64: {
    bytes: 8,
    read: (view, offset) => view.getUint32(offset + 4, true) * 2 ** 32 + view.getUint32(offset, true),
  },
  int16: { bytes: 2, read: (view, offset) => view.getInt16(offset, true) },
};

/** Typed fields of TensorProto that hold numbers as they stand there: float_data and double_data; the others are varints. */
const fixedFields: Readonly<Record<number, string>> = { 4: "float32", 10: "float64" };
const varintFields: ReadonlySet<number> = new Set([5, 7, 11]);

/** Gathers the numbers of a small tensor, whatever order its fields have: where they lie, and what they are at the end. */
export class TensorValues {
  readonly #reader: WireReader;
  #raw: Range | null = null;
  /** Null once there are too many, or some that are no numbers. */
  #typed: number[] | null = [];

  constructor(reader: WireReader) {
    this.#reader = reader;
  }

  addRaw(field: Field): void {
    this.#raw = { start: field.start, end: field.end };
  }

  addTyped(field: Field): void {
    if (this.#typed === null) return;
    const fixed = fixedFields[field.number];
    let some: number[] | null = null;
    if (fixed !== undefined) some = readRaw(this.#reader, field, fixed);
    else if (varintFields.has(field.number)) some = this.#reader.integers(field, maxValues);
    this.#typed = some === null || this.#typed.length + some.length > maxValues ? null : [...this.#typed, ...some];
  }

  /** The numbers, if there are as many as the shape says and at most 32. */
  take(type: string, elements: number): readonly number[] | null {
    if (elements > maxValues) return null;
    const values = this.#raw === null ? this.#typed : readRaw(this.#reader, this.#raw, type);
    return values?.length === elements ? values : null;
  }
}

function readRaw(reader: WireReader, range: Range, type: string): number[] | null {
  const kind = rawReaders[type];
  const length = range.end - range.start;
  if (kind === undefined || length > maxValues * kind.bytes) return null;
  const view = reader.view(range);
  const values: number[] = [];
  for (let offset = 0; offset + kind.bytes <= length; offset += kind.bytes) values.push(kind.read(view, offset));
  return values;
}
