import { InspectionError } from "./inspection-error.ts";
import { readSparseTensor } from "./sparse-tensor.ts";
import { readTensor } from "./tensor.ts";
import { maxValues } from "./tensor-values.ts";
import { readType } from "./value-info.ts";
import type { Walk } from "./walk.ts";
import type { Field, Range, WireReader } from "./wire.ts";

/** What an attribute holds, as far as sizes may hang on it. */
export interface AttributeValue {
  readonly elements: number;
  /** Its numbers, or those of its tensor, if they are at most 32; null for everything else. */
  readonly values: readonly number[] | null;
}

const nothing: AttributeValue = { elements: 0, values: [] };

/** f, i, s, t, g, tp, sparse_tensor and type of AttributeProto: of two, readers take different ones, or join them. */
const singular: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 14, 20, 22]);

/** AttributeProto. @param index of the attribute in its node */
export function readAttribute(
  walk: Walk,
  range: Range,
  index: number,
): { readonly name: string; readonly value: AttributeValue } {
  const { reader, tally, trail } = walk;
  const { limits } = tally;
  const place = trail.enter("attribute", index, range.start);
  tally.addAttribute();
  let value = nothing;
  let listBytes = 0;
  let seen = 0;
  for (const field = reader.fields(range); field.next();) {
    if (singular.has(field.number)) {
      const bit = 1 << field.number;
      if ((seen & bit) !== 0) throw new InspectionError("not_onnx", `an attribute states field ${field.number} twice`);
      seen |= bit;
    }
    switch (field.number) {
      case 1:
        place.name = reader.string(field);
        break;
      case 2:
      case 3:
      case 7:
      case 8:
        value = join(value, readNumbers(reader, field));
        listBytes += field.end - field.start;
        break;
      case 4:
      case 9:
        listBytes += reader.checkLength(field, limits.maxTextBytes, "a text");
        break;
      case 5:
      case 10: {
        const tensor = readTensor(reader, reader.message(field));
        tally.addTensor(tensor);
        value = tensor;
        break;
      }
      case 6:
      case 11:
        walk.readGraph({ ...walk, depth: walk.depth + 1 }, reader.message(field));
        break;
      case 14:
      case 15:
        readType(reader, reader.message(field), limits.maxTypeDepth);
        break;
      case 22:
      case 23:
        readSparseTensor(walk, reader.message(field), 0);
        break;
      case 13:
        reader.checkLength(field, limits.maxNoteBytes, "a note");
    }
    if (listBytes > limits.maxAttributeBytes)
      throw new InspectionError("model_too_complex", `an attribute of more than ${limits.maxAttributeBytes} bytes`);
  }
  trail.leave(place);
  return { name: place.name, value };
}

/** f, i, floats and ints; null when there are too many to look at. */
function readNumbers(reader: WireReader, field: Field): number[] | null {
  if (field.number === 3 || field.number === 8) return reader.integers(field, maxValues);
  const length = field.end - field.start;
  if (length > 4 * maxValues) return null;
  const view = reader.view(field);
  return Array.from({ length: Math.floor(length / 4) }, (_, at) => view.getFloat32(4 * at, true));
}

/** Fields of an attribute are mostly one: the first becomes its value, and others are put behind it. */
function join(before: AttributeValue, some: readonly number[] | null): AttributeValue {
  if (before.elements === 0 && some !== null) return { elements: some.length, values: some };
  const known = before.values !== null && some !== null && before.values.length + some.length <= maxValues;
  const values = known ? [...(before.values ?? []), ...(some ?? [])] : null;
  return { elements: values?.length ?? maxValues + 1, values };
}
