import type { RolloutState, WebhookEvent } from "@fairlead/protocol";
import type { RolloutRecord } from "@fairlead/rollout";
import type { RolloutRow, Transaction } from "@fairlead/store";
import type { RolloutPorts } from "./ports.ts";

/** What is told outside when a rollout comes into a state; null for what is only on the way. */
const eventByState: Readonly<Record<RolloutState, WebhookEvent | null>> = {
  draft: null,
  pending_approval: null,
  ready: null,
  running: null,
  paused: "rollout.paused",
  succeeded: "rollout.succeeded",
  failed: "rollout.failed",
  canceled: "rollout.canceled",
  rolling_back: null,
  rolled_back: "rollout.rolled-back",
  rollback_failed: "rollout.failed",
};

export async function announceRollout(
  tx: Transaction,
  { announcements }: Pick<RolloutPorts, "announcements">,
  { before, after }: { readonly before: RolloutRow; readonly after: RolloutRecord },
): Promise<void> {
  const type = eventByState[after.state];
  if (type === null || before.state === after.state) return;
  const { rolloutId } = before;
  const { model, version, slot, selector } = after.spec;
  const { state, code, reason } = after;
  const data = { rolloutId, model, version, slot, selector, state, code, reason: reason.slice(0, 1_000) };
  await announcements.announce(tx, { type, subject: rolloutId, data });
}
