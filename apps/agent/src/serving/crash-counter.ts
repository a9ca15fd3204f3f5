/** Counts crashes per build over a sliding time, so that a loop is told from a single mishap. */
export interface CrashCounter {
  /** @returns crashes of this build within the time, this one included */
  count(digest: string, nowMs: number): number;
  forget(digest: string): void;
}

export function createCrashCounter(withinMs = 300_000): CrashCounter {
  const seen = new Map<string, number[]>();
  return {
    count(digest, nowMs) {
      const times = (seen.get(digest) ?? []).filter((time) => nowMs - time < withinMs);
      times.push(nowMs);
      seen.set(digest, times.slice(-64));
      return times.length;
    },
    forget: (digest) => void seen.delete(digest),
  };
}
