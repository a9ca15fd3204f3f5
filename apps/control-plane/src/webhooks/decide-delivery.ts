import { toBackoffDelayMs, type BackoffPolicy } from "@fairlead/kernel";

export interface DeliveryPolicy {
  /** How long one message is tried. */
  readonly giveUpMs: number;
  readonly maxAttempts: number;
  readonly backoff: BackoffPolicy;
}

/** Between two attempts passes at least this, whatever chance says. */
const leastDelayMs = 1_000;

export const defaultDeliveryPolicy: DeliveryPolicy = {
  giveUpMs: 86_400_000,
  maxAttempts: 40,
  backoff: { baseMs: 2_000, maxMs: 3_600_000 },
};

/** What one attempt came to. `code` is the status' or the egress' own. */
export type Outcome =
  | { readonly kind: "taken"; readonly status: number }
  | { readonly kind: "failed"; readonly status: number | null; readonly code: string; readonly message: string };

export interface DeliveryState {
  readonly attempts: number;
  readonly createdAtMs: number;
  /** When the receiver last took anything. */
  readonly lastDeliveredAtMs: number | null;
}

export type DeliveryDecision =
  | { readonly kind: "delivered" }
  | { readonly kind: "try-again"; readonly atMs: number }
  /** `disables`: nothing was taken since this message was made, so the receiver is taken to be gone. */
  | { readonly kind: "give-up"; readonly disables: boolean };

export interface DecideOptions {
  readonly nowMs: number;
  /** In [0, 1). */
  readonly random: number;
  readonly policy: DeliveryPolicy;
}

/** Standard Webhooks: 410 says that the receiver wants nothing any more. */
const gone = 410;

/** What follows from one attempt; `attempts` does not count it yet. */
export function decideDelivery(state: DeliveryState, outcome: Outcome, options: DecideOptions): DeliveryDecision {
  if (outcome.kind === "taken") return { kind: "delivered" };
  if (outcome.status === gone) return { kind: "give-up", disables: true };
  const { nowMs, random, policy } = options;
  const endsAtMs = state.createdAtMs + policy.giveUpMs;
  const isOver = !(nowMs < endsAtMs) || state.attempts + 1 >= policy.maxAttempts;
  if (isOver) return { kind: "give-up", disables: (state.lastDeliveredAtMs ?? 0) < state.createdAtMs };
  const delayMs = leastDelayMs + toBackoffDelayMs(policy.backoff, state.attempts, random);
  // The last attempt comes when the time is over, not some time before.
  return { kind: "try-again", atMs: Math.max(nowMs + leastDelayMs, Math.min(nowMs + delayMs, endsAtMs)) };
}
