export interface BackoffPolicy {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly factor?: number;
}

/**
 * Exponential delay with full jitter, so that a fleet that lost its plane does not return as one wave.
 * @param attempt zero-based count of failures so far
 * @param random a number in [0, 1), drawn by the caller
 * @returns milliseconds in [0, min(maxMs, baseMs * factor^attempt)]
 */
export function toBackoffDelayMs(policy: BackoffPolicy, attempt: number, random: number): number {
  const ceiling = Math.min(policy.maxMs, policy.baseMs * (policy.factor ?? 2) ** Math.min(attempt, 64));
  return Math.floor(ceiling * random);
}
