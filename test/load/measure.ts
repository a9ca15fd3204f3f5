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
  /** Milliseconds in the order in which they were measured, as many as those they are held against. */
  readonly times: readonly number[];
  readonly against: { readonly times: readonly number[]; readonly what: string };
  /** Most that the quotient may be; null for a row that only informs. */
  readonly atMost: number | null;
}

/** Calls of one work before the next has its turn: it needs some until it is as warm as a camera's loop keeps it. */
export const callsPerTurn = 30;

/**
 * One time by another, turn by turn. A virtual processor runs at one speed for seconds and then at another, 1.6 times slower:
 * medians of whole series may then come from different speeds, those of two turns beside each other rarely do.
 */
export function toQuotientRow({ name, times, against, atMost }: Quotient): Row {
  const below = toTurnMedians(against.times);
  const quotients = toTurnMedians(times).map((ms, turn) => ms / (below[turn] ?? Number.NaN));
  const quotient = toQuantile(quotients, 0.5);
  return {
    name,
    value: `${toQuantile(times, 0.5).toFixed(2)} ms`,
    against: `${toQuantile(against.times, 0.5).toFixed(2)} ms ${against.what}`,
    ratio: quotient.toFixed(3),
    bound: atMost === null ? "no bound" : `≤ ${atMost}`,
    held: atMost === null || quotient <= atMost,
  };
}

function toTurnMedians(times: readonly number[]): number[] {
  const turns = Math.floor(times.length / callsPerTurn);
  return Array.from({ length: turns }, (_, turn) =>
    toQuantile(times.slice(turn * callsPerTurn, (turn + 1) * callsPerTurn), 0.5),
  );
}
