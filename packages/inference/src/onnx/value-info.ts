import { toDataType } from "./data-type.ts";
import type { Range, WireReader } from "./wire.ts";

export interface TensorInfo {
  readonly name: string;
  /** "float32", "uint8", "int4", …; "sequence", "map", "optional" or "unknown" for what is no tensor. */
  readonly elementType: string;
  /** Numbers, names of free dimensions, "?" where the model says nothing. */
  readonly shape: readonly (number | string)[];
}

/** TypeProto: the field that is set says what kind of value it is (onnx.proto, message TypeProto). */
const kinds: ReadonlyMap<number, string> = new Map([
  [4, "sequence"],
  [5, "map"],
  [7, "opaque"],
  [8, "sparse"],
  [9, "optional"],
]);

export function readValueInfo(reader: WireReader, range: Range): TensorInfo {
  let name = "";
  let type: Omit<TensorInfo, "name"> = { elementType: "unknown", shape: [] };
  for (const field of reader.fields(range)) {
    if (field.number === 1) name = reader.string(field);
    else if (field.number === 2) type = readType(reader, reader.message(field));
  }
  return { name, ...type };
}

function readType(reader: WireReader, range: Range): Omit<TensorInfo, "name"> {
  let elementType = "unknown";
  let shape: readonly (number | string)[] = [];
  for (const field of reader.fields(range)) {
    const kind = kinds.get(field.number);
    if (kind !== undefined) elementType = kind;
    if (field.number !== 1) continue;
    for (const part of reader.fields(reader.message(field))) {
      if (part.number === 1) elementType = toDataType(part.value)?.name ?? "unknown";
      else if (part.number === 2) shape = readShape(reader, reader.message(part));
    }
  }
  return { elementType, shape };
}

function readShape(reader: WireReader, range: Range): (number | string)[] {
  const shape: (number | string)[] = [];
  for (const field of reader.fields(range)) {
    if (field.number !== 1) continue;
    let dimension: number | string = "?";
    for (const part of reader.fields(reader.message(field))) {
      if (part.number === 1) dimension = part.value;
      else if (part.number === 2) dimension = reader.string(part) || "?";
    }
    shape.push(dimension);
  }
  return shape;
}
