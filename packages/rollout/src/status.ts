import { isJobSuccess, type RolloutStatus, type StageStatus } from "@fairlead/protocol";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";
import type { FleetDevice, RolloutSnapshot } from "./snapshot.ts";
import { toFleetMap, toOwnJob, toStanding } from "./standing.ts";

/** All of the status but what only the plane knows: who created it, when it was saved, its entity tag. */
export type RolloutStatusParts = Omit<RolloutStatus, "createdBy" | "updatedAtMs" | "etag">;

/** What a rollout looks like now, for people. */
export function toRolloutStatus({ record, fleet }: Pick<RolloutSnapshot, "record" | "fleet">): RolloutStatusParts {
  const seenBy = toFleetMap(fleet);
  const toCounts = (devices: readonly RolloutDevice[]): StageStatus["counts"] => {
    const standings = devices.map((device) => toStanding(record, device, seenBy.get(device.device)));
    const count = (...wanted: readonly string[]): number =>
      standings.filter((standing) => wanted.includes(standing)).length;
    return {
      planned: devices.length,
      offered: devices.filter(({ attempt }) => attempt > 0).length,
      working: count("working", "reverting"),
      succeeded: count("succeeded"),
      failed: count("failed"),
      unknown: count("unknown"),
    };
  };
  const { rolloutId, spec, state, pauseReason, code, reason, createdAtMs } = record;
  return {
    rolloutId,
    spec,
    state,
    pauseReason,
    code,
    reason,
    createdAtMs,
    stages: record.stages.map(
      ({ name, state: stageState, startedAtMs, soakingSinceMs, endedAtMs, verdicts }, index) => ({
        name,
        state: stageState,
        startedAtMs,
        soakingSinceMs,
        endedAtMs,
        counts: toCounts(record.devices.filter(({ stageIndex }) => stageIndex === index)),
        verdicts: [...verdicts],
      }),
    ),
    devices: record.devices.map((device) => {
      const seen = seenBy.get(device.device);
      return {
        device: device.device,
        stage: device.stageIndex === null ? null : (record.stages[device.stageIndex]?.name ?? null),
        ...toDeviceState(record, device, seen),
        previousVersion: device.previous?.version ?? null,
      };
    }),
  };
}

function toDeviceState(
  record: RolloutRecord,
  device: RolloutDevice,
  seen: FleetDevice | undefined,
): { state: string; code: string | null; reason: string | null } {
  const standing = toStanding(record, device, seen);
  const job = toOwnJob(record, device, seen);
  const { outcome } = device;
  if (outcome !== null && (standing !== "unknown" || !isJobSuccess(outcome.state)))
    return { state: outcome.state, code: outcome.code, reason: outcome.reason };
  if (standing === "unknown") return { state: "unknown", code: "silent", reason: "the device is not connected" };
  const isUnderway = standing === "working" || standing === "reverting";
  if (isUnderway && seen?.lifecycle === "quarantined")
    return { state: job?.state ?? "queued", code: "quarantined", reason: "the device is quarantined" };
  if (job !== null && standing === "succeeded") return { state: "shadowing", code: job.code, reason: job.reason };
  if (job !== null && isUnderway) return { state: job.state, code: job.code, reason: job.reason };
  return { state: standing === "working" ? "queued" : standing, code: null, reason: device.note };
}
