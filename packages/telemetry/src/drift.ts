import { toAlignedVectors, type ClassCounts } from "./class-counts.ts";

/**
 * Jensen–Shannon divergence with logarithms to base 2 (Lin 1991): 0 = same distribution, 1 = disjoint.
 * Weights need not be normalised; negative and non-finite ones count as 0, a missing tail as zeros.
 * Null when either side has no weight: nothing was seen, so nothing can be said.
 */
export function toJensenShannon(a: readonly number[], b: readonly number[]): number | null {
  const p = toShares(a);
  const q = toShares(b);
  if (p === null || q === null) return null;
  let divergence = 0;
  for (let index = 0; index < Math.max(p.length, q.length); index += 1) {
    const left = p[index] ?? 0;
    const right = q[index] ?? 0;
    const middle = (left + right) / 2;
    divergence += (toTerm(left, middle) + toTerm(right, middle)) / 2;
  }
  return Math.min(Math.max(divergence, 0), 1);
}

/** Jensen–Shannon divergence of two class counts over the union of their labels; null when either is empty. */
export function toClassDrift(a: ClassCounts, b: ClassCounts): number | null {
  const vectors = toAlignedVectors(a, b);
  return toJensenShannon(vectors.a, vectors.b);
}

/**
 * Population stability index, Σ (p - q) · ln(p / q), of two count vectors: below 0.1 stable, above 0.25 shifted
 * by the usual reading. Each cell gets 0.5 more (Jeffreys) so that an empty one cannot make it infinite.
 * 0 or more and finite; null when either side has no weight.
 */
export function toStabilityIndex(expected: readonly number[], actual: readonly number[]): number | null {
  if (toShares(expected) === null || toShares(actual) === null) return null;
  const length = Math.max(expected.length, actual.length);
  const p = toShares(toSmoothed(expected, length)) ?? [];
  const q = toShares(toSmoothed(actual, length)) ?? [];
  const total = p.reduce((sum, left, index) => {
    const right = q[index] ?? 0;
    return left > 0 && right > 0 ? sum + (left - right) * (Math.log(left) - Math.log(right)) : sum;
  }, 0);
  return Math.max(total, 0);
}

function toTerm(share: number, middle: number): number {
  return share > 0 && middle > 0 ? share * Math.log2(share / middle) : 0;
}

function toSmoothed(weights: readonly number[], length: number): number[] {
  return Array.from({ length }, (_, index) => toWeight(weights[index] ?? 0) + 0.5);
}

function toWeight(value: number): number {
  return Number.isFinite(value) && value > 0 ? value : 0;
}

/** Weights over their total; scaled by the largest first, so that huge weights do not overflow. */
function toShares(weights: readonly number[]): number[] | null {
  const valid = weights.map(toWeight);
  const largest = valid.reduce((max, weight) => Math.max(max, weight), 0);
  if (largest === 0) return null;
  const scaled = valid.map((weight) => weight / largest);
  const total = scaled.reduce((sum, weight) => sum + weight, 0);
  return scaled.map((weight) => weight / total);
}
