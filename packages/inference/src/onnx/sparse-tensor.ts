import { InspectionError } from "./inspection-error.ts";
import { readTensor } from "./tensor.ts";
import type { Walk } from "./walk.ts";
import type { Range } from "./wire.ts";

/** Larger than what a model stores on purpose: the runtime makes a dense tensor of it when it loads the file. */
const maxDenseElements = 2 ** 28;

/** SparseTensorProto: values, their indices and the dense shape; the tensor's name is the name of its values. */
export function readSparseTensor(
  walk: Walk,
  range: Range,
  index: number,
): { readonly name: string; readonly elements: number } {
  const place = walk.trail.enter("initializer", index, range.start);
  let elements = 1;
  for (const field = walk.reader.fields(range); field.next();) {
    if (field.number === 3) for (const dim of walk.reader.integers(field, 64) ?? [Infinity]) elements *= dim;
    if (!(elements >= 0 && elements <= maxDenseElements))
      throw new InspectionError(
        "model_too_complex",
        "a sparse tensor would have more than 2^28 elements, or fewer than 0",
      );
    if (field.number !== 1 && field.number !== 2) continue;
    const tensor = readTensor(walk.reader, walk.reader.message(field));
    walk.tally.addTensor(tensor);
    if (field.number === 1) place.name = tensor.name;
  }
  walk.trail.leave(place);
  return { name: place.name, elements };
}
