import { toBackoffDelayMs, type BackoffPolicy } from "@fairlead/kernel";

/**
 * How an ask ended without an answer. `broken`: the process ended, or the run passed its deadline, while it ran the
 * input. `later`: anything else, of which the input is not suspected.
 */
export type Ending = "later" | "broken";

/** What an input has been through. */
export interface Attempts {
  /** Asks in a row without an answer. */
  readonly failures: number;
  /** Those of them that broke. */
  readonly breaks: number;
}

export const noAttempts: Attempts = { failures: 0, breaks: 0 };

export type NextAttempt =
  | { readonly kind: "again"; readonly attempts: Attempts; readonly waitMs: number }
  | { readonly kind: "give-up" };

/** One may be another's fault, two a coincidence; the agent takes a build back after five crashes within five minutes. */
export const maxBreaks = 3;

/** An input is given up only for what happens while it runs: whoever waits for a process that is not there waits for ever. */
export function decideNextAttempt(
  before: Attempts,
  ending: Ending,
  { policy, random }: { readonly policy: BackoffPolicy; readonly random: number },
): NextAttempt {
  const breaks = before.breaks + (ending === "broken" ? 1 : 0);
  if (breaks >= maxBreaks) return { kind: "give-up" };
  const attempts = { failures: before.failures + 1, breaks };
  return { kind: "again", attempts, waitMs: toBackoffDelayMs(policy, before.failures, random) };
}

/** For a log, a reason file or an answer. */
export function toGivenUpReason(last: string): string {
  return `given up after ${maxBreaks} attempts that ended the run or its process: ${last}`;
}
