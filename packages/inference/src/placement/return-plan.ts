/** How soon and how often a failed accelerator is tried again. */
export interface ReturnPolicy {
  /** Wait after the first failure; it doubles with each further one. */
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Where a model runs that wants an accelerator, since it failed there for the first time. Times are monotonic milliseconds. */
export interface ReturnState {
  readonly on: "stand-in" | "accelerator";
  readonly sinceMs: number;
  /** Failures in a row beyond the first, those tries included that failed. */
  readonly failures: number;
  /** Drawn once per failure, in [0, 1): devices that lost the same thing at the same time do not return as one. */
  readonly random: number;
}

export type ReturnDecision =
  /** Nothing to do: the model runs where it should. */
  { readonly kind: "stay" } | { readonly kind: "wait"; readonly untilMs: number } | { readonly kind: "try" };

/**
 * The accelerator failed: at load, in a run, or in a try. An accelerator that came back and held for as long as the
 * longest wait is trusted again; one that was lost sooner goes on with the waits that it had.
 */
export function noteFailure(
  before: ReturnState | null,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
  policy: ReturnPolicy,
): ReturnState {
  const held = before?.on === "accelerator" && nowMs - before.sinceMs >= policy.maxMs;
  const failures = before === null || held ? 0 : before.failures + 1;
  return { on: "stand-in", sinceMs: nowMs, failures, random };
}

export function noteReturn(before: ReturnState, nowMs: number): ReturnState {
  return { ...before, on: "accelerator", sinceMs: nowMs };
}

/** @returns milliseconds between `firstMs` and `maxMs` */
export function toReturnDelayMs({ failures, random }: ReturnState, { firstMs, maxMs }: ReturnPolicy): number {
  const growing = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 40));
  return Math.max(firstMs, Math.min(maxMs, growing * (1 + 0.2 * random)));
}

export function decideReturn(state: ReturnState, nowMs: number, policy: ReturnPolicy): ReturnDecision {
  if (state.on === "accelerator") return { kind: "stay" };
  const untilMs = state.sinceMs + toReturnDelayMs(state, policy);
  return nowMs >= untilMs ? { kind: "try" } : { kind: "wait", untilMs };
}
