import type { Tensor } from "@fairlead/inference";
import { toNumbers, toTopClass } from "./output-statistics.ts";

export interface Tolerance {
  readonly absolute: number;
  readonly relative: number;
}

export interface Answered {
  readonly outputs: readonly Tensor[];
  /** Output of class probabilities; null where the release names none. */
  readonly classificationOutput: string | null;
}

export interface Comparison {
  readonly agreed: boolean;
  /** Largest absolute difference over the compared values; null when nothing comparable was found. */
  readonly difference: number | null;
}

/** Values looked at per output; beyond it the comparison is one of the first ones. */
const maxValues = 65_536;

/**
 * Whether two builds say the same of one input: the same top class in every row where both name a classification output,
 * otherwise every output, by its name, within the tolerance. A missing output or another shape is no agreement.
 */
export function compareOutputs(active: Answered, other: Answered, tolerance: Tolerance): Comparison {
  const classes = [active, other].map(({ outputs, classificationOutput }) =>
    classificationOutput === null ? undefined : outputs.find(({ name }) => name === classificationOutput),
  );
  const [left, right] = classes;
  if (left !== undefined && right !== undefined) return compareClasses(left, right);
  const pairs = active.outputs.map((output) =>
    compareValues(
      output,
      other.outputs.find(({ name }) => name === output.name),
      tolerance,
    ),
  );
  const differences = pairs.flatMap(({ difference }) => difference ?? []);
  return {
    agreed: pairs.every(({ agreed }) => agreed),
    difference: differences.length === 0 ? null : Math.max(...differences),
  };
}

function compareClasses(left: Tensor, right: Tensor): Comparison {
  const a = toNumbers(left);
  const b = toNumbers(right);
  const rows = left.shape[0] ?? 1;
  if (a === null || b === null || a.length !== b.length || rows < 1 || right.shape[0] !== left.shape[0])
    return { agreed: false, difference: null };
  const classes = Math.floor(a.length / rows);
  const countedRows = Math.min(rows, Math.ceil(maxValues / Math.max(classes, 1)));
  let agreed = true;
  for (let row = 0; row < countedRows && agreed; row += 1) {
    const start = row * classes;
    agreed = toTopClass(a, start, classes) === toTopClass(b, start, classes);
  }
  return { agreed, difference: toDifference(a, b) };
}

function compareValues(left: Tensor, right: Tensor | undefined, { absolute, relative }: Tolerance): Comparison {
  if (right === undefined || right.data.length !== left.data.length || right.datatype !== left.datatype)
    return { agreed: false, difference: null };
  const a = toNumbers(left);
  const b = toNumbers(right);
  if (a === null || b === null) return compareExactly(left, right);
  const count = Math.min(a.length, maxValues);
  for (let index = 0; index < count; index += 1) {
    const x = a[index] ?? 0;
    const y = b[index] ?? 0;
    // Written so that a value which is no number agrees with its like alone.
    const near = Object.is(x, y) || x === y || Math.abs(x - y) <= absolute + relative * Math.abs(x);
    if (!near) return { agreed: false, difference: toDifference(a, b) };
  }
  return { agreed: true, difference: toDifference(a, b) };
}

/** What has no numbers that could be near each other is the same or is not. */
function compareExactly(left: Tensor, right: Tensor): Comparison {
  const count = Math.min(left.data.length, maxValues);
  for (let index = 0; index < count; index += 1)
    if (left.data[index] !== right.data[index]) return { agreed: false, difference: null };
  return { agreed: true, difference: null };
}

function toDifference(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  let largest: number | null = null;
  const count = Math.min(a.length, b.length, maxValues);
  for (let index = 0; index < count; index += 1) {
    const difference = Math.abs((a[index] ?? 0) - (b[index] ?? 0));
    if (Number.isFinite(difference) && difference > (largest ?? -1)) largest = difference;
  }
  return largest;
}
