import {
  decideExclusions,
  decideOffers,
  decideOutcomes,
  decidePlan,
  decideRepairs,
  decideRollback,
  type Fleet,
} from "./decide-devices.ts";
import { decideFailure, decideNextStage, decideStage } from "./decide-stage.ts";
import type { Decision } from "./decision.ts";
import { RolloutDraft } from "./draft.ts";
import type { RolloutRecord } from "./rollout.ts";
import type { RolloutSnapshot, StageEvidence, Withdrawal } from "./snapshot.ts";
import { toCurrentStage, toFleetMap } from "./standing.ts";

interface Round {
  readonly record: RolloutRecord;
  readonly fleet: Fleet;
  readonly evidence: StageEvidence | null;
  readonly withdrawn: Withdrawal | null;
  readonly nowMs: number;
}

type Step = (round: Round) => readonly Decision[];

const outcomes: Step = ({ record, fleet }) => decideOutcomes(record, fleet);
const exclusions: Step = ({ record, fleet }) => decideExclusions(record, fleet);
const plan: Step = ({ record, fleet }) => decidePlan(record, fleet);
const offers: Step = ({ record, fleet }) => decideOffers(record, fleet);
const rollback: Step = ({ record, fleet }) => decideRollback(record, fleet);
const failure: Step = ({ record }) => decideFailure(record);
/** Devices would refuse it, so nothing more is offered; what runs keeps running, and a person decides what becomes of it. */
const trust: Step = ({ withdrawn }) =>
  withdrawn === null ? [] : [{ kind: "pause", pauseReason: "trust", ...withdrawn, numbers: {} }];
const newcomers: Step = (round) => (round.withdrawn === null ? toFirst([plan, offers], round) : []);
const start: Step = () => [{ kind: "start-rollout", code: "started", reason: "the rollout starts", numbers: {} }];
const stage: Step = (round) => {
  const stageIndex = toCurrentStage(round.record);
  return stageIndex === -1 ? decideNextStage(round.record) : decideStage({ ...round, stageIndex });
};
/** A person is asked: bad news still stops the stage. */
const approval: Step = (round) => {
  const stageIndex = toCurrentStage(round.record);
  return round.record.pauseReason !== "approval" || stageIndex === -1 ? [] : decideStage({ ...round, stageIndex });
};

/** What is looked at in each state, in order; the first that answers makes the round. */
function toSteps({ state, pauseReason }: RolloutRecord): readonly Step[] {
  switch (state) {
    case "ready":
      return [start];
    case "running":
      return [outcomes, exclusions, plan, failure, trust, offers, stage];
    case "paused":
      return pauseReason === "approval" ? [outcomes, failure, approval] : [outcomes];
    case "succeeded":
      return [outcomes, exclusions, newcomers];
    case "rolling_back":
      return [exclusions, outcomes, rollback];
    case "draft":
    case "pending_approval":
    case "failed":
    case "canceled":
    case "rolled_back":
    case "rollback_failed":
      return [];
  }
}

/** Evidence speaks for the stage that it was gathered for, never for one that began since. */
function toValidEvidence(record: RolloutRecord, evidence: StageEvidence | null): StageEvidence | null {
  const stageIndex = toCurrentStage(record);
  const sinceMs = record.stages[stageIndex]?.startedAtMs;
  return evidence?.stageIndex === stageIndex && evidence.sinceMs === sinceMs ? evidence : null;
}

function toFirst(steps: readonly Step[], view: Round): readonly Decision[] {
  for (const step of steps) {
    const found = step(view);
    if (found.length > 0) return found;
  }
  return [];
}

/**
 * What to do next, in order. Total, deterministic, idempotent: after all decisions are applied and the fleet's desired
 * states follow the offers and reverts, the same time gives no more decisions.
 */
export function reconcile(snapshot: RolloutSnapshot, nowMs: number): readonly Decision[] {
  const fleet = toFleetMap(snapshot.fleet);
  const { withdrawn = null } = snapshot;
  const decisions: Decision[] = [];
  const draft = new RolloutDraft(snapshot.record);
  // Every round either moves a stage or the rollout forward or settles devices once, so this bound is generous.
  const rounds = 16 + 8 * snapshot.record.stages.length;
  for (let round = 0; round < rounds; round += 1) {
    const { record } = draft;
    const evidence = toValidEvidence(record, snapshot.evidence);
    const view: Round = { record, fleet, evidence, withdrawn, nowMs };
    const next = toFirst(toSteps(record), view);
    if (next.length === 0) break;
    for (const decision of next) draft.apply(decision, nowMs);
    decisions.push(...next);
  }
  const requested = new Set(
    decisions.flatMap((decision) => (decision.kind === "offer" || decision.kind === "revert" ? [decision.device] : [])),
  );
  const { record } = draft;
  const active = record.state !== "rolled_back" && record.state !== "rollback_failed";
  const repairs = (active ? decideRepairs(record, fleet) : []).filter(
    ({ kind }) => withdrawn === null || kind !== "offer",
  );
  return [...decisions, ...repairs.filter((decision) => !("device" in decision) || !requested.has(decision.device))];
}
