import { toDataType } from "./data-type.ts";
import { InspectionError } from "./inspection-error.ts";
import { quote } from "./quote.ts";
import { TensorValues } from "./tensor-values.ts";
import type { Range, WireReader } from "./wire.ts";

/** A stored tensor, without its data. */
export interface StoredTensor {
  readonly name: string;
  readonly elementType: string;
  readonly elements: number;
  readonly dataBytes: number;
  /** Location entry of external data, "" when the entry has none; null when the data lies in the model. */
  readonly externalLocation: string | null;
  /** The numbers of a tensor of at most 32, such as a loop's trips or a shape; null for everything else. */
  readonly values: readonly number[] | null;
}

/** Larger than any tensor that a device can hold, and far from where numbers lose digits. */
const maxElements = 2 ** 40;

const maxRank = 64;

/** data_type, name, raw_data and data_location of TensorProto. */
const singular: ReadonlySet<number> = new Set([2, 8, 9, 14]);

/** Reads a TensorProto and checks that its data has the length that type and dimensions ask for. */
export function readTensor(reader: WireReader, range: Range): StoredTensor {
  const dims: number[] = [];
  let name = "";
  let typeNumber = 0;
  let rawBytes: number | null = null;
  let typedBytes = 0;
  let texts = 0;
  const once = new Set<number>();
  const values = new TensorValues(reader);
  let external = false;
  let location = "";
  for (const field = reader.fields(range); field.next();) {
    const bytes = field.end - field.start;
    // Of two values of a field that has one, readers take different ones.
    if (singular.has(field.number) && once.size === once.add(field.number).size)
      throw new InspectionError("tensor_malformed", `${quote(name)} states field ${field.number} twice`);
    if (field.number === 1) {
      const some = reader.integers(field, maxRank);
      if (some === null || dims.push(...some) > maxRank)
        throw new InspectionError("model_too_complex", `a tensor has more than ${maxRank} dimensions`);
    } else if (field.number === 2) typeNumber = field.value;
    else if (field.number === 8) name = reader.string(field);
    else if (field.number === 9) {
      rawBytes = bytes;
      values.addRaw(field);
    } else if (field.number === 13) {
      external = true;
      location ||= readLocation(reader, reader.message(field));
    } else if (field.number === 14) external ||= field.value !== 0;
    else if (field.number >= 4 && field.number <= 11) {
      typedBytes += bytes;
      if (field.number === 6) texts += 1;
      values.addTyped(field);
    }
  }
  const type = toDataType(typeNumber);
  if (type === undefined)
    throw new InspectionError("tensor_malformed", `${quote(name)} has the data type ${typeNumber}`);
  const elements = toElementCount(name, dims);
  if (!external) {
    checkDataLength({ name, elements, bits: type.bits, rawBytes, typedBytes });
    checkTypedLength({ name, elements, type: type.name, bits: type.bits, typedBytes, texts });
  }
  const dataBytes = (rawBytes ?? 0) + typedBytes;
  return {
    ...{ name, elementType: type.name, elements, dataBytes },
    externalLocation: external ? location : null,
    values: external ? null : values.take(type.name, elements),
  };
}

function toElementCount(name: string, dims: readonly number[]): number {
  let elements = 1;
  for (const dim of dims) {
    if (dim < 0) throw new InspectionError("tensor_malformed", `${quote(name)} has a negative dimension`);
    elements *= dim;
    if (dim > maxElements || elements > maxElements) {
      throw new InspectionError("model_too_complex", `${quote(name)} has more than 2^40 elements`);
    }
  }
  return elements;
}

function checkDataLength(tensor: {
  readonly name: string;
  readonly elements: number;
  readonly bits: number | null;
  readonly rawBytes: number | null;
  readonly typedBytes: number;
}): void {
  const { name, elements, bits, rawBytes, typedBytes } = tensor;
  if (rawBytes !== null && bits !== null && rawBytes !== Math.ceil((elements * bits) / 8)) {
    throw new InspectionError(
      "tensor_malformed",
      `${quote(name)} has ${elements} elements but ${rawBytes} bytes of data`,
    );
  }
  if (rawBytes !== null && typedBytes > 0)
    throw new InspectionError("tensor_malformed", `${quote(name)} has raw data and typed data`);
  if (rawBytes === null && typedBytes === 0 && elements > 0 && bits !== null) {
    throw new InspectionError("tensor_malformed", `${quote(name)} has ${elements} elements but no data`);
  }
}

/** Bytes of one number in the typed fields; what is a varint there takes at least one (onnx.proto, TensorProto). */
const typedBytesOf: Readonly<Record<string, number>> = { float32: 4, complex64: 8, float64: 8, complex128: 16 };

/** The typed fields hold a value per element; of the four-bit types two share one. */
function checkTypedLength(tensor: {
  readonly name: string;
  readonly elements: number;
  readonly type: string;
  readonly bits: number | null;
  readonly typedBytes: number;
  readonly texts: number;
}): void {
  const { name, elements, type, bits, typedBytes, texts } = tensor;
  if (typedBytes === 0 && bits !== null) return;
  const fixed = typedBytesOf[type];
  const values = bits !== null && bits < 8 ? Math.ceil((elements * bits) / 8) : elements;
  const isRight =
    bits === null
      ? texts === elements
      : fixed === undefined
        ? typedBytes >= values && typedBytes <= 10 * elements
        : typedBytes === fixed * elements;
  if (!isRight)
    throw new InspectionError("tensor_malformed", `${quote(name)} has ${elements} elements, and other typed data`);
}

function readLocation(reader: WireReader, range: Range): string {
  let key = "";
  let value = "";
  for (const field = reader.fields(range); field.next();) {
    if (field.number === 1) key = reader.string(field);
    else if (field.number === 2) value = reader.prefix(field, 512);
  }
  return key === "location" ? value : "";
}
