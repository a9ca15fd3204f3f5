import { InspectionError } from "./inspection-error.ts";
import { KnownValues } from "./known-values.ts";
import { readNode } from "./node.ts";
import { readSparseTensor } from "./sparse-tensor.ts";
import { tooMany } from "./tally.ts";
import { readTensor } from "./tensor.ts";
import { readValueInfo, type TensorInfo } from "./value-info.ts";
import type { Walk } from "./walk.ts";
import type { Field, Range } from "./wire.ts";

export interface GraphSummary {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
}

const maxValues = 20_000;

/** GraphProto. Inputs that have an initializer of the same name are weights with a default, not inputs (IR < 4). */
export function readGraph(outer: Walk, range: Range): GraphSummary {
  const walk = { ...outer, known: new KnownValues(outer.known) };
  const { reader, tally } = walk;
  const { maxDepth, maxNoteBytes } = tally.limits;
  if (walk.depth > maxDepth)
    throw new InspectionError("model_too_complex", `graphs nested deeper than the limit of ${maxDepth}`);
  const inputs: TensorInfo[] = [];
  const outputs: TensorInfo[] = [];
  const initializers = new Set<string>();
  let nodes = 0;
  for (const field = reader.fields(range); field.next();) {
    switch (field.number) {
      case 1:
        readNode(walk, reader.message(field), nodes);
        nodes += 1;
        break;
      case 5:
        initializers.add(readInitializer(walk, field, initializers.size));
        break;
      case 15: {
        const sparse = readSparseTensor(walk, reader.message(field), initializers.size);
        walk.known.add(sparse.name, { elements: sparse.elements, values: null, constant: true }, null);
        initializers.add(sparse.name);
        break;
      }
      case 11:
        inputs.push(readValue(walk, field, inputs.length));
        break;
      case 12:
        outputs.push(readValue(walk, field, outputs.length));
        break;
      case 13:
        readValue(walk, field, 0);
        break;
      case 10:
      case 14:
      case 16:
        reader.checkLength(field, maxNoteBytes, "a note");
    }
    if (inputs.length + outputs.length > maxValues) throw tooMany(maxValues, "inputs and outputs");
  }
  const given = inputs.filter((input) => !initializers.has(input.name));
  for (const input of given) walk.known.add(input.name, toKnown(input), null);
  return { inputs: given, outputs };
}

function readValue(walk: Walk, field: Field, index: number): TensorInfo {
  const { reader, tally, trail } = walk;
  const place = trail.enter("value", index, field.start);
  const value = readValueInfo(reader, reader.message(field), tally.limits.maxTypeDepth);
  trail.leave(place);
  return value;
}

function toKnown({ shape }: TensorInfo) {
  const elements = shape.reduce<number>((count, size) => count * (typeof size === "number" ? Math.max(1, size) : 1), 1);
  return { elements, values: null, constant: false };
}

function readInitializer(walk: Walk, field: Field, index: number): string {
  const place = walk.trail.enter("initializer", index, field.start);
  const tensor = readTensor(walk.reader, walk.reader.message(field));
  place.name = tensor.name;
  walk.tally.addTensor(tensor);
  walk.known.add(tensor.name, { ...tensor, constant: true }, null);
  walk.trail.leave(place);
  return tensor.name;
}
