import { assertNever } from "@fairlead/kernel";
import { isJobSuccess } from "@fairlead/protocol";
import type { RolloutDecision } from "./decision.ts";
import type { RolloutDevice, RolloutRecord, StageRecord } from "./rollout.ts";
import { transitionRollout, transitionStage, type RolloutEvent, type StageEvent } from "./transition.ts";

/** @throws CodedError `transition_refused` when the stage's state does not admit the event */
export function changeStage(
  record: RolloutRecord,
  stageIndex: number,
  change: { readonly event: StageEvent; readonly data?: Partial<StageRecord> },
): RolloutRecord {
  return {
    ...record,
    stages: record.stages.map((stage, index) =>
      index === stageIndex ? { ...stage, state: transitionStage(stage.state, change.event), ...change.data } : stage,
    ),
  };
}

/**
 * Ends a stage well. The devices of a shadow stage go on to the next one, which offers them the release itself; those
 * that failed stay behind.
 */
export function passStage(record: RolloutRecord, stageIndex: number, data: Partial<StageRecord>): RolloutRecord {
  const passed = changeStage(record, stageIndex, { event: "pass", data });
  if ((record.spec.stages[stageIndex]?.shadow ?? null) === null) return passed;
  const goesOn = (device: RolloutDevice): boolean =>
    device.stageIndex === stageIndex &&
    (device.phase === "planned" ||
      (device.phase === "offered" && (device.outcome === null || isJobSuccess(device.outcome.state))));
  return {
    ...passed,
    devices: passed.devices.map((device) =>
      goesOn(device) ? { ...device, stageIndex: stageIndex + 1, phase: "planned", outcome: null } : device,
    ),
  };
}

/** Stages that did not come to their end are skipped when the rollout turns back or ends. */
export function skipOpenStages(record: RolloutRecord, nowMs: number): RolloutRecord {
  return {
    ...record,
    stages: record.stages.map((stage) =>
      ["scheduled", "running", "soaking"].includes(stage.state)
        ? { ...stage, state: transitionStage(stage.state, "skip"), endedAtMs: nowMs }
        : stage,
    ),
  };
}

/** @throws CodedError `transition_refused` when the rollout's state does not admit the event */
export function changeState(
  record: RolloutRecord,
  event: RolloutEvent,
  why: { readonly code: string; readonly reason: string },
): RolloutRecord {
  const state = transitionRollout(record.state, event);
  return { ...record, state, pauseReason: null, pausedAtMs: null, code: why.code, reason: why.reason };
}

const finishEvents = {
  succeeded: "succeed",
  failed: "fail",
  canceled: "cancel",
  rolled_back: "reverted",
  rollback_failed: "revert-failed",
} as const;

/**
 * The record after a decision about the rollout or one of its stages. Pure.
 * @throws CodedError `transition_refused`
 */
export function applyToRollout(record: RolloutRecord, decision: RolloutDecision, nowMs: number): RolloutRecord {
  switch (decision.kind) {
    case "start-rollout":
      return changeState(record, "start", decision);
    case "start-stage":
      return changeStage(record, decision.stageIndex, { event: "start", data: { startedAtMs: nowMs } });
    case "skip-stage":
      return changeStage(record, decision.stageIndex, { event: "skip", data: { endedAtMs: nowMs } });
    case "start-soak":
      return changeStage(record, decision.stageIndex, { event: "soak", data: { soakingSinceMs: nowMs } });
    case "record-verdicts":
      return {
        ...record,
        stages: record.stages.map((stage, index) =>
          index === decision.stageIndex ? { ...stage, verdicts: decision.verdicts } : stage,
        ),
      };
    case "pass-stage":
      return passStage(record, decision.stageIndex, { endedAtMs: nowMs });
    case "fail-stage":
      return changeStage(record, decision.stageIndex, { event: "fail", data: { endedAtMs: nowMs } });
    case "request-approval":
      return { ...changeState(record, "pause", decision), pauseReason: "approval", pausedAtMs: nowMs };
    case "pause":
      return { ...changeState(record, "pause", decision), pauseReason: decision.pauseReason, pausedAtMs: nowMs };
    case "start-rollback":
      return skipOpenStages(changeState(record, "roll-back", decision), nowMs);
    case "finish": {
      const ended = changeState(record, finishEvents[decision.state], decision);
      return decision.state === "succeeded" ? ended : skipOpenStages(ended, nowMs);
    }
    default:
      return assertNever(decision);
  }
}
