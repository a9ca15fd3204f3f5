import type { ExponentialHistogramData } from "@fairlead/protocol";
import { toPossibleIndex, toScaleSteps } from "./histogram-buckets.ts";
import { addCounts } from "./counts.ts";

const minScale = -10;
const maxSum = 1e18;

/** The histogram of both sets of values. Associative and commutative (`sum` within floating-point rounding). */
export function mergeHistograms(a: ExponentialHistogramData, b: ExponentialHistogramData): ExponentialHistogramData {
  const common = Math.min(a.scale, b.scale);
  const ranges = [toRange(a, common), toRange(b, common)].filter((range) => range !== null);
  const low = Math.min(...ranges.map((range) => range.low));
  const high = Math.max(...ranges.map((range) => range.high));
  const steps = ranges.length === 0 ? 0 : toScaleSteps(low, high, common - minScale);
  const scale = common - steps;
  const offset = ranges.length === 0 ? 0 : low >> steps;
  const counts = ranges.length === 0 ? [] : Array.from({ length: (high >> steps) - offset + 1 }, () => 0);
  for (const part of [a, b]) {
    part.counts.forEach((count, position) => {
      if (count === 0) return;
      const at = (toPossibleIndex(part.offset + position, part.scale) >> (part.scale - scale)) - offset;
      counts[at] = addCounts(counts[at] ?? 0, count);
    });
  }
  return {
    scale,
    zeroCount: addCounts(a.zeroCount, b.zeroCount),
    offset,
    counts,
    sum: Math.min(a.sum + b.sum, maxSum),
    min: toExtreme(Math.min, a.min, b.min),
    max: toExtreme(Math.max, a.max, b.max),
  };
}

/** First and last bucket in use, at a scale not above the histogram's own. */
function toRange(data: ExponentialHistogramData, scale: number): { low: number; high: number } | null {
  const first = data.counts.findIndex((count) => count > 0);
  if (first === -1) return null;
  const last = data.counts.findLastIndex((count) => count > 0);
  const steps = data.scale - scale;
  return {
    low: toPossibleIndex(data.offset + first, data.scale) >> steps,
    high: toPossibleIndex(data.offset + last, data.scale) >> steps,
  };
}

function toExtreme(pick: (a: number, b: number) => number, a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : pick(a, b);
}
