import type { Tensor, TensorData } from "@fairlead/inference";
import type { SlotAccumulator } from "@fairlead/telemetry";

/** Values looked at per request; beyond it the statistics are a sample of the first ones. */
const maxValues = 65_536;

/** Notes range and not-a-number over the outputs, and the top class of every row of the classification output. */
export function recordOutputs(
  accumulator: SlotAccumulator,
  classificationOutput: string | null,
  outputs: readonly Tensor[],
): void {
  let left = maxValues;
  for (const output of outputs) {
    const values = toNumbers(output);
    if (values === null) continue;
    if (output.name === classificationOutput) recordRows(accumulator, values, output.shape[0] ?? 1);
    const count = Math.min(left, values.length);
    recordRange(accumulator, values, count);
    left -= count;
    if (left === 0) return;
  }
}

type Numbers = Exclude<TensorData, BigInt64Array | BigUint64Array> | Float16Array;

/** Strings, 64-bit integers and BF16 are left out: no classifier or detector ends in them. */
export function toNumbers({ data, datatype }: Tensor): Numbers | null {
  if (data instanceof BigInt64Array || data instanceof BigUint64Array || ["BF16", "BYTES"].includes(datatype))
    return null;
  if (datatype === "FP16") return new Float16Array(data.buffer as ArrayBuffer, data.byteOffset, data.length);
  return data;
}

function recordRange(accumulator: SlotAccumulator, values: Numbers, count: number): void {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let nanCount = 0;
  for (let index = 0; index < count; index += 1) {
    const value = values[index] ?? 0;
    if (Number.isFinite(value)) {
      if (value < min) min = value;
      if (value > max) max = value;
    } else if (Number.isNaN(value)) nanCount += 1;
  }
  accumulator.recordOutput(min, max, nanCount);
}

function recordRows(accumulator: SlotAccumulator, values: Numbers, rows: number): void {
  const classes = Math.floor(values.length / Math.max(rows, 1));
  if (classes === 0) return;
  const countedRows = Math.min(rows, Math.ceil(maxValues / classes));
  for (let row = 0; row < countedRows; row += 1) {
    const start = row * classes;
    const best = toTopClass(values, start, classes);
    accumulator.recordPrediction(best, values[start + best] ?? Number.NaN);
  }
}

/** Index of the largest of `classes` values from `start` on; the first of equals. */
export function toTopClass(values: ArrayLike<number>, start: number, classes: number): number {
  let best = 0;
  for (let label = 1; label < classes; label += 1)
    if ((values[start + label] ?? 0) > (values[start + best] ?? 0)) best = label;
  return best;
}
