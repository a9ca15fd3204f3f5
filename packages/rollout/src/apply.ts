import { assertNever, CodedError } from "@fairlead/kernel";
import { isJobSuccess } from "@fairlead/protocol";
import type { Decision } from "./decision.ts";
import type { DeviceOutcome, RolloutDevice, RolloutRecord, StageRecord } from "./rollout.ts";
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

function changeDevice(
  record: RolloutRecord,
  name: string,
  change: (device: RolloutDevice) => RolloutDevice,
): RolloutRecord {
  if (!record.devices.some(({ device }) => device === name))
    throw new CodedError("device_unknown", `device ${name} takes no part in rollout ${record.rolloutId}`);
  return { ...record, devices: record.devices.map((device) => (device.device === name ? change(device) : device)) };
}

/** What was asked of a device that leaves ends with it; what it had finished stays as it was. */
function toRemoved(device: RolloutDevice, { code, reason }: Pick<Decision, "code" | "reason">): DeviceOutcome | null {
  const isOpen = device.attempt > 0 && device.outcome?.attempt !== device.attempt;
  if (code !== "device_decommissioned" || !isOpen) return null;
  return { attempt: device.attempt, state: "removed", code, reason, selfTestPassed: null };
}

const finishEvents = {
  succeeded: "succeed",
  failed: "fail",
  canceled: "cancel",
  rolled_back: "reverted",
  rollback_failed: "revert-failed",
} as const;

/**
 * The record after one decision. Pure; throws only for a decision that was not made for this record.
 * @throws CodedError `transition_refused`, `device_unknown`
 */
export function applyDecision(record: RolloutRecord, decision: Decision, nowMs: number): RolloutRecord {
  switch (decision.kind) {
    case "start-rollout":
      return changeState(record, "start", decision);
    case "plan-device": {
      const planned: RolloutDevice = {
        device: decision.device,
        stageIndex: decision.stageIndex,
        phase: "planned",
        late: decision.late,
        offeredAtMs: null,
        attempt: 0,
        previous: decision.previous,
        outcome: null,
        note: decision.late ? decision.reason : null,
      };
      const others = record.devices.filter(({ device }) => device !== decision.device);
      return { ...record, devices: [...others, planned] };
    }
    case "exclude-device":
      return changeDevice(record, decision.device, (device) => ({
        ...device,
        stageIndex: null,
        phase: "excluded",
        note: decision.reason,
        outcome: toRemoved(device, decision) ?? device.outcome,
      }));
    case "start-stage":
      return changeStage(record, decision.stageIndex, { event: "start", data: { startedAtMs: nowMs } });
    case "skip-stage":
      return changeStage(record, decision.stageIndex, { event: "skip", data: { endedAtMs: nowMs } });
    case "offer":
      return changeDevice(record, decision.device, (device) => ({
        ...device,
        phase: "offered",
        offeredAtMs: device.attempt === decision.attempt ? device.offeredAtMs : nowMs,
        attempt: decision.attempt,
        previous: decision.previous,
        outcome: device.attempt === decision.attempt ? device.outcome : null,
      }));
    case "record-outcome": {
      const { attempt, state, code, reason, selfTestPassed } = decision;
      return changeDevice(record, decision.device, (device) => ({
        ...device,
        outcome: { attempt, state, code, reason, selfTestPassed },
      }));
    }
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
    case "revert":
      return changeDevice(record, decision.device, (device) => ({
        ...device,
        phase: "reverting",
        offeredAtMs: device.attempt === decision.attempt ? device.offeredAtMs : nowMs,
        attempt: decision.attempt,
        outcome: device.attempt === decision.attempt ? device.outcome : null,
      }));
    case "confirm-revert":
      return changeDevice(record, decision.device, (device) => ({ ...device, phase: "reverted", outcome: null }));
    case "finish": {
      const ended = changeState(record, finishEvents[decision.state], decision);
      return decision.state === "succeeded" ? ended : skipOpenStages(ended, nowMs);
    }
    default:
      return assertNever(decision);
  }
}
