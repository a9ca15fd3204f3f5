import type { ExponentialHistogramData } from "@fairlead/protocol";
import { addCounts } from "./counts.ts";
import { toBucketLow } from "./histogram-buckets.ts";

/** Number of values in a histogram. */
export function toCount(data: ExponentialHistogramData): number {
  return data.counts.reduce(addCounts, data.zeroCount);
}

/** Mean of the values; null when there is none. */
export function toMean(data: ExponentialHistogramData): number | null {
  const count = toCount(data);
  return count === 0 ? null : data.sum / count;
}

/** Largest relative error of `toQuantile` at a scale: (base - 1) / (base + 1), 0..1. */
export function toRelativeError(scale: number): number {
  const base = 2 ** (2 ** -scale);
  return Number.isFinite(base) ? (base - 1) / (base + 1) : 1;
}

/**
 * The value of nearest rank ⌈q·n⌉, at most `toRelativeError(scale)` off; null when nothing was recorded.
 * `q` is bounded to 0..1; q that is not a number gives null. The estimate is the point of a bucket whose relative
 * distance to both ends is equal (DDSketch, Masson et al. 2019, §2.2), held between the recorded extremes.
 */
export function toQuantile(data: ExponentialHistogramData, q: number): number | null {
  const count = toCount(data);
  if (count === 0 || Number.isNaN(q)) return null;
  const rank = Math.max(1, Math.ceil(Math.min(Math.max(q, 0), 1) * count));
  if (rank <= data.zeroCount) return 0;
  let seen = data.zeroCount;
  for (let position = 0; position < data.counts.length; position += 1) {
    seen += data.counts[position] ?? 0;
    if (seen >= rank) return toEstimate(data, data.offset + position);
  }
  return data.max;
}

function toEstimate(data: ExponentialHistogramData, index: number): number {
  const low = toBucketLow(index, data.scale);
  const estimate = low * (1 + toRelativeError(data.scale));
  return Math.min(Math.max(estimate, data.min ?? 0), data.max ?? estimate);
}
