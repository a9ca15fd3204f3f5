export function toQuantile(values: readonly number[], quantile: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(quantile * sorted.length))] ?? Number.NaN;
}

/** One line of the closing table: what was measured, what it was held against, and whether it is inside its bound. */
export interface Row {
  readonly name: string;
  readonly value: string;
  readonly against: string;
  readonly ratio: string;
  readonly bound: string;
  readonly held: boolean;
}
