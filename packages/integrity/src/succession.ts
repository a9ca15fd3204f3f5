/** What was the present one of its kind once: a certificate, an epoch of a queue. Another followed it. */
export interface EndedTurn {
  readonly id: string;
  /** When the next one was first used. */
  readonly untilMs: number;
  readonly forMs: number;
}

export interface Turn {
  readonly id: string;
  readonly sinceMs: number;
}

/**
 * What was under way when the next one began may still arrive: an open connection, a request, a message in a socket's
 * buffer. All of that ends within seconds; who speaks in the old one's name after this time has gone on with it.
 */
export const turnGraceMs = 60_000;

const kept = 8;
/** From here on a turn counts as long. */
const longMs = 86_400_000;

/**
 * Adds what has ended. Beyond a bound the shortest turn is forgotten, so that nobody pushes out the one that was long in
 * use by many quick ones; of those as long, the oldest. The last one stays in any case: its late words must be known.
 */
export function endTurn(ended: readonly EndedTurn[], { id, sinceMs }: Turn, untilMs: number): readonly EndedTurn[] {
  const before = ended.filter((turn) => turn.id !== id);
  const last: EndedTurn = { id, untilMs, forMs: Math.min(longMs, Math.max(0, untilMs - sinceMs)) };
  if (before.length < kept) return [...before, last];
  const shortestMs = Math.min(...before.map(({ forMs }) => forMs));
  const forgotten = before.findIndex(({ forMs }) => forMs === shortestMs);
  return [...before.toSpliced(forgotten, 1), last];
}

/** The turn that was over for good when this was used; undefined when there is none, or what was used may be late. */
export function findOverdue(ended: readonly EndedTurn[], id: string, atMs: number): EndedTurn | undefined {
  const turn = ended.find((one) => one.id === id);
  return turn === undefined || atMs - turn.untilMs < turnGraceMs ? undefined : turn;
}
