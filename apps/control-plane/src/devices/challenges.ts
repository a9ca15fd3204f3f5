import type { Clock } from "@fairlead/kernel";

export interface ChallengeOptions {
  readonly clock: Clock;
  readonly createId: () => string;
  /** How long one waits for its answer. */
  readonly ttlMs: number;
  /** The oldest one makes room. */
  readonly capacity: number;
}

/** Questions that wait for an answer. One is answered at most once, right or wrong, and none outlives this process. */
export interface Challenges<Value> {
  issue(value: Value): string;
  take(id: string): Value | undefined;
}

export function createChallenges<Value>(options: ChallengeOptions): Challenges<Value> {
  const { clock, createId, ttlMs, capacity } = options;
  const waiting = new Map<string, { readonly value: Value; readonly untilMs: number }>();
  return {
    issue: (value) => {
      const nowMs = clock.monotonicMs();
      for (const [id, { untilMs }] of waiting) {
        if (untilMs > nowMs && waiting.size < capacity) break;
        waiting.delete(id);
      }
      const id = createId();
      waiting.set(id, { value, untilMs: nowMs + ttlMs });
      return id;
    },
    take: (id) => {
      const found = waiting.get(id);
      waiting.delete(id);
      return found === undefined || clock.monotonicMs() >= found.untilMs ? undefined : found.value;
    },
  };
}
