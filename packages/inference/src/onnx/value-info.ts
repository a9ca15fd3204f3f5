import { toDataType } from "./data-type.ts";
import { InspectionError } from "./inspection-error.ts";
import type { Range, WireReader } from "./wire.ts";

export interface TensorInfo {
  readonly name: string;
  /** "float32", "uint8", "int4", …; "sequence", "map", "optional" or "unknown" for what is no tensor. */
  readonly elementType: string;
  /** Numbers, names of free dimensions, "?" where the model says nothing. */
  readonly shape: readonly (number | string)[];
}

type TypeInfo = Omit<TensorInfo, "name">;

const unknownType: TypeInfo = { elementType: "unknown", shape: [] };
const maxRank = 64;

/** TypeProto: the field that is set says what kind of value it is (onnx.proto, message TypeProto). */
const kinds: ReadonlyMap<number, string> = new Map([
  [1, "tensor"],
  [4, "sequence"],
  [5, "map"],
  [7, "opaque"],
  [8, "sparse"],
  [9, "optional"],
]);

/** Where the type of what is inside stands: element of a sequence or optional, value of a map. */
const innerField: Readonly<Record<string, number>> = { sequence: 1, optional: 1, map: 2 };

/** @param maxDepth how deep types may lie in each other; those of this value's type itself are at depth 1 */
export function readValueInfo(reader: WireReader, range: Range, maxDepth: number): TensorInfo {
  let name = "";
  let type: TypeInfo | null = null;
  for (const field = reader.fields(range); field.next();) {
    if (field.number === 1) name = reader.string(field);
    if (field.number !== 2) continue;
    if (type !== null) throw new InspectionError("not_onnx", "a value states its type twice");
    type = readType(reader, reader.message(field), maxDepth);
  }
  return { name, ...(type ?? unknownType) };
}

/** TypeProto. One message of it may stand there; of two, readers take different ones or join them. */
export function readType(reader: WireReader, range: Range, depthLeft: number): TypeInfo {
  if (depthLeft < 1) throw new InspectionError("model_too_complex", "types lie in each other deeper than the limit");
  let found: TypeInfo | null = null;
  for (const field = reader.fields(range); field.next();) {
    const kind = kinds.get(field.number);
    if (kind === undefined) continue;
    if (found !== null) throw new InspectionError("not_onnx", "a type is stated twice");
    const inside = reader.message(field);
    if (kind === "tensor") found = readTensorType(reader, inside);
    else {
      found = { elementType: kind, shape: [] };
      for (const part = reader.fields(inside); part.next();)
        if (part.number === innerField[kind]) readType(reader, reader.message(part), depthLeft - 1);
    }
  }
  return found ?? unknownType;
}

function readTensorType(reader: WireReader, range: Range): TypeInfo {
  let elementType = "unknown";
  let shape: TypeInfo["shape"] | null = null;
  for (const part = reader.fields(range); part.next();) {
    if (part.number === 1) elementType = toDataType(part.value)?.name ?? "unknown";
    if (part.number !== 2) continue;
    if (shape !== null) throw new InspectionError("not_onnx", "a tensor type states its shape twice");
    shape = readShape(reader, reader.message(part));
  }
  return { elementType, shape: shape ?? [] };
}

function readShape(reader: WireReader, range: Range): (number | string)[] {
  const shape: (number | string)[] = [];
  for (const field = reader.fields(range); field.next();) {
    if (field.number !== 1) continue;
    let dimension: number | string = "?";
    for (const part = reader.fields(reader.message(field)); part.next();) {
      if (part.number === 1) dimension = part.value;
      else if (part.number === 2) dimension = reader.string(part) || "?";
    }
    if (shape.push(dimension) > maxRank)
      throw new InspectionError("model_too_complex", `a value has more than ${maxRank} dimensions`);
  }
  return shape;
}
