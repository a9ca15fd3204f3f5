import { countStrings } from "./string-data.ts";

/** Datatypes of the Open Inference Protocol ("Tensor Data Types") that a model may have at its edge. */
export type Datatype =
  | "BOOL"
  | "UINT8"
  | "UINT16"
  | "UINT32"
  | "UINT64"
  | "INT8"
  | "INT16"
  | "INT32"
  | "INT64"
  | "FP16"
  | "BF16"
  | "FP32"
  | "FP64"
  | "BYTES";

/** FP16 and BF16 are kept as bit patterns in Uint16Array, BOOL as bytes 0 and 1, BYTES as in string-data.ts. */
export type TensorData =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Row-major, as many elements as the shape says: `toDataElements` counts them. */
  readonly data: TensorData;
}

/** A model's input or output; -1 is a free dimension. */
export interface TensorSpec {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** What ONNX and its runtimes call each datatype. */
export const onnxNames = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  BF16: "bfloat16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
} as const satisfies Readonly<Record<Datatype, string>>;

interface Layout {
  readonly bytes: 1 | 2 | 4 | 8;
  /** Array of `length` zeros. */
  create(length: number): TensorData;
  /** View of `length` elements; `byteOffset` must be a multiple of `bytes`. */
  view(buffer: ArrayBufferLike, byteOffset: number, length: number): TensorData;
}

const layouts: Readonly<Record<Datatype, Layout>> = {
  BOOL: { bytes: 1, create: (n) => new Uint8Array(n), view: (b, o, n) => new Uint8Array(b, o, n) },
  UINT8: { bytes: 1, create: (n) => new Uint8Array(n), view: (b, o, n) => new Uint8Array(b, o, n) },
  UINT16: { bytes: 2, create: (n) => new Uint16Array(n), view: (b, o, n) => new Uint16Array(b, o, n) },
  UINT32: { bytes: 4, create: (n) => new Uint32Array(n), view: (b, o, n) => new Uint32Array(b, o, n) },
  UINT64: { bytes: 8, create: (n) => new BigUint64Array(n), view: (b, o, n) => new BigUint64Array(b, o, n) },
  INT8: { bytes: 1, create: (n) => new Int8Array(n), view: (b, o, n) => new Int8Array(b, o, n) },
  INT16: { bytes: 2, create: (n) => new Int16Array(n), view: (b, o, n) => new Int16Array(b, o, n) },
  INT32: { bytes: 4, create: (n) => new Int32Array(n), view: (b, o, n) => new Int32Array(b, o, n) },
  INT64: { bytes: 8, create: (n) => new BigInt64Array(n), view: (b, o, n) => new BigInt64Array(b, o, n) },
  FP16: { bytes: 2, create: (n) => new Uint16Array(n), view: (b, o, n) => new Uint16Array(b, o, n) },
  BF16: { bytes: 2, create: (n) => new Uint16Array(n), view: (b, o, n) => new Uint16Array(b, o, n) },
  FP32: { bytes: 4, create: (n) => new Float32Array(n), view: (b, o, n) => new Float32Array(b, o, n) },
  FP64: { bytes: 8, create: (n) => new Float64Array(n), view: (b, o, n) => new Float64Array(b, o, n) },
  // Empty strings, each the four bytes of its length.
  BYTES: { bytes: 1, create: (n) => new Uint8Array(4 * n), view: (b, o, n) => new Uint8Array(b, o, n) },
};

export function isDatatype(name: string): name is Datatype {
  return Object.hasOwn(layouts, name);
}

/** Elements of a tensor's data; null where BYTES are not made of whole ones. */
export function toDataElements({ datatype, data }: Pick<Tensor, "datatype" | "data">): number | null {
  return datatype === "BYTES" ? countStrings(data as Uint8Array) : data.length;
}

/** Of one element. Those of BYTES have no size in common: 1, a byte of their encoding. */
export function toElementBytes(datatype: Datatype): number {
  return layouts[datatype].bytes;
}

export function createTensorData(datatype: Datatype, length: number): TensorData {
  return layouts[datatype].create(length);
}

/** The tensor's elements where they lie; a copy only when they do not start at a multiple of the element's size. */
export function viewTensorData(datatype: Datatype, bytes: Uint8Array): TensorData {
  const layout = layouts[datatype];
  const length = bytes.byteLength / layout.bytes;
  if (bytes.byteOffset % layout.bytes === 0) return layout.view(bytes.buffer, bytes.byteOffset, length);
  return layout.view(Uint8Array.from(bytes).buffer, 0, length);
}

/** Product of the dimensions; 1 for a scalar. */
export function toElementCount(shape: readonly number[]): number {
  let count = 1;
  for (const dimension of shape) count *= dimension;
  return count;
}
