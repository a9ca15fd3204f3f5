import type { Decision } from "./decision.ts";
import type { RolloutRecord } from "./rollout.ts";
import type { RolloutSnapshot } from "./snapshot.ts";

/**
 * What to do next, in order. Total, deterministic, idempotent: after all decisions are applied and the fleet's desired
 * states follow the offers and reverts, the same time gives no more decisions.
 */
export function reconcile(snapshot: RolloutSnapshot, nowMs: number): readonly Decision[] {
  void snapshot;
  void nowMs;
  return [];
}

/** The record after one decision. */
export function applyDecision(record: RolloutRecord, decision: Decision, nowMs: number): RolloutRecord {
  void decision;
  void nowMs;
  return record;
}
