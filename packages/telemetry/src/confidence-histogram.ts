import { addCounts } from "./counts.ts";

/** Top-1 probabilities in 20 equal bins over 0..1, and their sum. */
export interface ConfidenceData {
  bins: number[];
  sum: number;
}

const binCount = 20;

/** Index 0..19 of the bin that holds a probability; values just outside 0..1 (rounding) go to the end bins. */
export function toConfidenceBin(probability: number): number {
  return Math.min(Math.max(Math.floor(probability * binCount), 0), binCount - 1);
}

/** A histogram of nothing. */
export function toEmptyConfidence(): ConfidenceData {
  return { bins: Array.from({ length: binCount }, () => 0), sum: 0 };
}

/** Adds one probability in place. Returns false, and counts nothing, when it is not finite. */
export function recordConfidence(data: ConfidenceData, probability: number): boolean {
  if (!Number.isFinite(probability)) return false;
  const bin = toConfidenceBin(probability);
  data.bins[bin] = (data.bins[bin] ?? 0) + 1;
  data.sum += Math.min(Math.max(probability, 0), 1);
  return true;
}

/** Both sets together; null (no classification output) adds nothing. */
export function mergeConfidence(a: ConfidenceData | null, b: ConfidenceData | null): ConfidenceData | null {
  if (a === null || b === null) return a ?? b;
  return { bins: a.bins.map((count, bin) => addCounts(count, b.bins[bin] ?? 0)), sum: a.sum + b.sum };
}

/** Mean top-1 probability 0..1; null when nothing was recorded. */
export function toMeanConfidence(data: ConfidenceData | null): number | null {
  if (data === null) return null;
  const count = data.bins.reduce(addCounts, 0);
  return count === 0 ? null : Math.min(data.sum / count, 1);
}
