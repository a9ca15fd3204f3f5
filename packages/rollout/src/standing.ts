import { isJobEnd, isJobSuccess, isSelected, parseSelector, type JobState, type ShadowTerms } from "@fairlead/protocol";
import type { DeviceOutcome, RolloutDevice, RolloutRecord } from "./rollout.ts";
import type { Cohorts, DeviceJob, FleetDevice, RolloutSnapshot } from "./snapshot.ts";

/** How a device counts. A silent one is `unknown`, also when it had succeeded; a failure stays one. */
export type Standing =
  | "planned"
  | "working"
  | "succeeded"
  | "failed"
  | "unknown"
  | "reverting"
  | "reverted"
  | "excluded";

/** The job that answers the present attempt; null for every other job. */
export function toOwnJob(
  record: RolloutRecord,
  device: RolloutDevice,
  seen: FleetDevice | undefined,
): DeviceJob | null {
  const job = seen?.job ?? null;
  return job !== null && job.rolloutId === record.rolloutId && job.attempt === device.attempt ? job : null;
}

/** The end of the present attempt, or null while it has none. */
export function toOutcome(device: RolloutDevice, job: DeviceJob | null): DeviceOutcome | null {
  if (job === null || !isJobEnd(job.state)) return null;
  const { state, code, reason, selfTestPassed } = job;
  return { attempt: device.attempt, state, code, reason, selfTestPassed };
}

/** The rollout has asked something of the device that it would have to take back. */
export function isTouched({ attempt, phase }: RolloutDevice): boolean {
  return attempt > 0 && phase !== "reverted" && phase !== "excluded";
}

/** Code of the outcome of a device whose release somebody else took back after it had succeeded. */
export const withdrawnCode = "withdrawn";

/** Final for its attempt: the device's own job goes on saying that it succeeded, since it did. */
export function isWithdrawnOutcome({ phase, attempt, outcome }: RolloutDevice): boolean {
  return phase === "offered" && outcome?.attempt === attempt && outcome.code === withdrawnCode;
}

function isSuccess(state: JobState | undefined): boolean {
  return state !== undefined && isJobSuccess(state);
}

/** How the device is to run the release beside what it has; null where it is to be installed. */
export function toShadowTerms(record: RolloutRecord, { stageIndex }: RolloutDevice): ShadowTerms | null {
  if (stageIndex === null) return null;
  // What a shadow stage had to show is shown: whoever is offered after it, is offered the release itself.
  const over = record.stages[stageIndex]?.state === "passed";
  return over ? null : (record.spec.stages[stageIndex]?.shadow ?? null);
}

/** It runs the release beside the active build, as it was asked to. Its job goes on as long as that does. */
function isShadowing(record: RolloutRecord, device: RolloutDevice, seen: FleetDevice): boolean {
  const asked = toShadowTerms(record, device) !== null;
  return asked && toOwnJob(record, device, seen)?.state === "soaking" && seen.shadowingId === record.releaseId;
}

export function toStanding(record: RolloutRecord, device: RolloutDevice, seen: FleetDevice | undefined): Standing {
  if (device.phase !== "offered") return device.phase === "reverting" && isStuck(device) ? "failed" : device.phase;
  if (device.outcome !== null && !isSuccess(device.outcome.state)) return "failed";
  if (seen === undefined || !seen.online) return "unknown";
  return device.outcome === null && !isShadowing(record, device, seen) ? "working" : "succeeded";
}

/** Asked to go back, and said that it could not. */
export function isStuck(device: RolloutDevice): boolean {
  return device.phase === "reverting" && device.outcome !== null;
}

/** Runs again what it ran before, and will stay there: what it runs is the truth, whatever its job is called. */
export function isBack(record: RolloutRecord, device: RolloutDevice, seen: FleetDevice): boolean {
  const to = device.previous?.releaseId ?? null;
  if ((seen.running?.releaseId ?? null) !== to) return false;
  // What ran beside it never served, and is to be gone all the same.
  if (seen.shadowingId === record.releaseId) return false;
  const job = toOwnJob(record, device, seen);
  if (job !== null) return isJobEnd(job.state);
  // Without a job of its own, the device must at least have answered the desired state that asks for it.
  return seen.desiredSeen && (seen.desired?.releaseId ?? null) === to;
}

/** Index of the stage under judgement: the one that runs or soaks. -1 when there is none. */
export function toCurrentStage(record: RolloutRecord): number {
  return record.stages.findIndex(({ state }) => state === "running" || state === "soaking");
}

export function toFleetMap(fleet: readonly FleetDevice[]): ReadonlyMap<string, FleetDevice> {
  return new Map(fleet.map((device) => [device.device, device]));
}

/**
 * Whose windows are evidence for the stage under judgement; null when none is. With a control selector only its
 * devices are the control; without, every device that still runs another release and was not asked to change.
 */
export function toCohorts({ record, fleet }: Pick<RolloutSnapshot, "record" | "fleet">): Cohorts | null {
  const stageIndex = toCurrentStage(record);
  const stage = record.spec.stages[stageIndex];
  const sinceMs = record.stages[stageIndex]?.startedAtMs ?? null;
  if (stage === undefined || sinceMs === null) return null;
  const selector = [...parseSelector(record.spec.selector), ...parseSelector(record.spec.control ?? "")];
  const treatment = record.devices
    .filter((device) => device.stageIndex === stageIndex && device.phase === "offered")
    .map(({ device }) => device);
  const quantiles = [...new Set(stage.gates.flatMap((gate) => (gate.kind === "latency" ? [gate.quantile] : [])))];
  const about = { stageIndex, sinceMs, treatment, quantiles };
  // Both builds are given the same inputs: there is no better control.
  if (stage.shadow) return { ...about, shadow: true, control: treatment };
  const touched = new Set(record.devices.filter(({ attempt }) => attempt > 0).map(({ device }) => device));
  return {
    ...about,
    shadow: false,
    control: fleet
      .filter(
        ({ device, labels, lifecycle, running }) =>
          lifecycle === "enrolled" &&
          running !== null &&
          running.releaseId !== record.releaseId &&
          !touched.has(device) &&
          isSelected(selector, labels),
      )
      .map(({ device }) => device),
  };
}
