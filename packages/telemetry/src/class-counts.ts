import { addCounts } from "./counts.ts";

/** Count per label index (decimal key), sparse. */
export type ClassCounts = Record<string, number>;

/** Both sets together; null (no classification output) adds nothing. */
export function mergeClassCounts(a: ClassCounts | null, b: ClassCounts | null): ClassCounts | null {
  if (a === null || b === null) return a ?? b;
  const merged: ClassCounts = { ...a };
  for (const [label, count] of Object.entries(b)) merged[label] = addCounts(merged[label] ?? 0, count);
  return merged;
}

/** Number of predictions. */
export function toPredictionCount(counts: ClassCounts | null): number {
  return counts === null ? 0 : Object.values(counts).reduce(addCounts, 0);
}

/** Two sparse counts as vectors over the union of their labels, in ascending order of the label index. */
export function toAlignedVectors(a: ClassCounts, b: ClassCounts): { a: number[]; b: number[]; labels: number[] } {
  const labels = [...new Set([...Object.keys(a), ...Object.keys(b)])].map(Number).toSorted((x, y) => x - y);
  return { a: labels.map((label) => a[label] ?? 0), b: labels.map((label) => b[label] ?? 0), labels };
}

/** Sparse counts as a vector over labels 0..length-1; what lies beyond is added as one last element when there is any. */
export function toClassVector(counts: ClassCounts, length: number): number[] {
  const vector = Array.from({ length }, () => 0);
  let beyond = 0;
  for (const [label, count] of Object.entries(counts)) {
    const index = Number(label);
    if (index < length) vector[index] = count;
    else beyond = addCounts(beyond, count);
  }
  return beyond > 0 ? [...vector, beyond] : vector;
}
