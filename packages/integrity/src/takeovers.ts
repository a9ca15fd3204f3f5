/** One connection took the device's session from another that was still there. */
export interface Takeover {
  readonly atMs: number;
  /** How long nothing had been heard from the one that lost the session. */
  readonly silentMs: number;
}

/** Times of those that ended a living session lately. */
export interface Takeovers {
  /** Since the last birth: not known yet whose they were. */
  readonly open: readonly number[];
  /** Of somebody else than the process that had the session. */
  readonly foreign: readonly number[];
}

export const noTakeovers: Takeovers = { open: [], foreign: [] };

/**
 * A device that lost its network notices it by an answer that does not come, after 20 s at the earliest, and its old
 * session says nothing in that time. Who spoke within this time was there.
 */
export const aliveMs = 10_000;
/** An agent that is started anew takes over the living session of the process before it, now and then. */
export const takeoversOfTwo = 5;
/** So many without a birth between them are those of connections that never say who they are. */
export const takeoversUnexplained = 2 * takeoversOfTwo;
export const takeoverWindowMs = 300_000;

const isLate =
  (atMs: number) =>
  (timeMs: number): boolean =>
    atMs - timeMs < takeoverWindowMs;

/** The same object when the takeover says nothing. */
export function addTakeover(takeovers: Takeovers, { atMs, silentMs }: Takeover): Takeovers {
  // Written so that NaN says nothing.
  if (!(silentMs <= aliveMs)) return takeovers;
  return { ...takeovers, open: [...takeovers.open.filter(isLate(atMs)), atMs].slice(-takeoversUnexplained) };
}

/**
 * A birth says whose the open ones were. `own`: how many connections the process that had the session has begun since its
 * last birth. A proxy or a network that drops connections where only the device notices lets a device take over its own
 * session as often as it likes; each time it has begun one connection more.
 */
export function explainTakeovers(
  { open, foreign }: Takeovers,
  { own, atMs }: { readonly own: number; readonly atMs: number },
): Takeovers {
  return { open: [], foreign: [...foreign, ...open.slice(own)].filter(isLate(atMs)).slice(-takeoversOfTwo) };
}

/** Two who hold one key take the session from each other as often as they connect; one device takes it from itself. */
export function isFight({ open, foreign }: Takeovers): boolean {
  return foreign.length >= takeoversOfTwo || open.length >= takeoversUnexplained;
}
