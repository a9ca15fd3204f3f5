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

export interface Quotient {
  readonly name: string;
  readonly ms: number;
  readonly against: { readonly ms: number; readonly what: string };
  /** Most that the quotient may be; null for a row that only informs. */
  readonly atMost: number | null;
}

/** One time by another. */
export function toQuotientRow({ name, ms, against, atMost }: Quotient): Row {
  const quotient = ms / against.ms;
  return {
    name,
    value: `${ms.toFixed(2)} ms`,
    against: `${against.ms.toFixed(2)} ms ${against.what}`,
    ratio: quotient.toFixed(3),
    bound: atMost === null ? "no bound" : `≤ ${atMost}`,
    held: atMost === null || quotient <= atMost,
  };
}
