import { assertNever } from "@fairlead/kernel";
import type { Decision, DecisionOf, DeviceDecision } from "./decision.ts";
import type { DeviceOutcome, RolloutDevice } from "./rollout.ts";

/** What was asked of a device that leaves ends with it; what it had finished stays as it was. */
function toRemoved(device: RolloutDevice, { code, reason }: Pick<Decision, "code" | "reason">): DeviceOutcome | null {
  const isOpen = device.attempt > 0 && device.outcome?.attempt !== device.attempt;
  if (code !== "device_decommissioned" || !isOpen) return null;
  return { attempt: device.attempt, state: "removed", code, reason, selfTestPassed: null };
}

/** A device that was given a stage. */
export function toPlanned({ device, stageIndex, late, previous, reason }: DecisionOf<"plan-device">): RolloutDevice {
  const nothing = { offeredAtMs: null, attempt: 0, outcome: null };
  return { device, stageIndex, phase: "planned", late, previous, ...nothing, note: late ? reason : null };
}

/** The device after a decision about it. Pure. */
export function applyToDevice(
  device: RolloutDevice,
  decision: Exclude<DeviceDecision, DecisionOf<"plan-device">>,
  nowMs: number,
): RolloutDevice {
  switch (decision.kind) {
    case "exclude-device": {
      const outcome = toRemoved(device, decision) ?? device.outcome;
      return { ...device, stageIndex: null, phase: "excluded", note: decision.reason, outcome };
    }
    case "offer":
      return { ...device, ...toAsked(device, decision, nowMs), phase: "offered", previous: decision.previous };
    case "record-outcome": {
      const { attempt, state, code, reason, selfTestPassed } = decision;
      return { ...device, outcome: { attempt, state, code, reason, selfTestPassed } };
    }
    case "revert":
      return { ...device, ...toAsked(device, decision, nowMs), phase: "reverting" };
    case "confirm-revert":
      return { ...device, phase: "reverted", outcome: null };
    default:
      return assertNever(decision);
  }
}

/** One that is made again for the same attempt is the same request. */
function toAsked(
  { attempt, offeredAtMs, outcome }: RolloutDevice,
  decision: DecisionOf<"offer" | "revert">,
  nowMs: number,
): Pick<RolloutDevice, "attempt" | "offeredAtMs" | "outcome"> {
  return attempt === decision.attempt
    ? { attempt, offeredAtMs, outcome }
    : { attempt: decision.attempt, offeredAtMs: nowMs, outcome: null };
}
