/** One connection took the device's session from another that was still there. */
export interface Takeover {
  readonly atMs: number;
  /** How long nothing had been heard from the one that lost the session. */
  readonly silentMs: number;
}

/**
 * A device that lost its network notices it by an answer that does not come, after 20 s at the earliest, and its old
 * session says nothing in that time. Who spoke within this time was there.
 */
export const aliveMs = 10_000;
/** A device whose connections are cut so that only it notices at once takes over a living session of its own, now and then. */
export const takeoversOfTwo = 5;
export const takeoverWindowMs = 300_000;

/** The times of those that ended a living session lately; the same list when this one says nothing. */
export function addTakeover(times: readonly number[], { atMs, silentMs }: Takeover): readonly number[] {
  // Written so that NaN says nothing.
  if (!(silentMs <= aliveMs)) return times;
  return [...times.filter((timeMs) => atMs - timeMs < takeoverWindowMs), atMs].slice(-takeoversOfTwo);
}

/** Two who hold one key take the session from each other as often as they connect; one device does not. */
export function isFight(times: readonly number[]): boolean {
  return times.length >= takeoversOfTwo;
}
