import { isJobSuccess, isSelected, parseSelector, type SelectorRequirement } from "@fairlead/protocol";
import type { Decision } from "./decision.ts";
import { planStages } from "./plan.ts";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";
import type { FleetDevice } from "./snapshot.ts";
import {
  isBack,
  isStuck,
  isTouched,
  isWithdrawnOutcome,
  toOutcome,
  toOwnJob,
  toShadowTerms,
  withdrawnCode,
} from "./standing.ts";

export type Fleet = ReadonlyMap<string, FleetDevice>;
const numbers = {};

/** Ends of present attempts that devices report. */
export function decideOutcomes(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  return record.devices.flatMap((device): Decision[] => {
    const seen = fleet.get(device.device);
    if (seen === undefined || (device.phase !== "offered" && device.phase !== "reverting")) return [];
    if (device.phase === "reverting" && isBack(record, device, seen)) return [];
    if (isWithdrawnOutcome(device)) return [];
    if (isWithdrawn(record, device, seen)) return [toWithdrawn(device)];
    const found = toOutcome(device, toOwnJob(record, device, seen));
    if (found === null) return [];
    const code = found.code ?? found.state;
    const reason = found.reason ?? `${device.device} ended with ${found.state}`;
    const { state, attempt, selfTestPassed } = found;
    const known = device.outcome;
    if (known?.state === state && known.code === code && known.reason === reason) return [];
    return [{ kind: "record-outcome", device: device.device, attempt, state, selfTestPassed, code, reason, numbers }];
  });
}

/** It ran the release, and somebody else (remediation, a person) has taken the release from it while the rollout goes on. */
function isWithdrawn(record: RolloutRecord, device: RolloutDevice, seen: FleetDevice): boolean {
  if (record.state !== "running" && record.state !== "paused") return false;
  if (device.phase !== "offered") return false;
  if (device.outcome === null) return isBaseTaken(record, device, seen);
  if (!isJobSuccess(device.outcome.state)) return false;
  return (
    seen.desired !== null && seen.desired.rolloutId !== record.rolloutId && seen.desired.releaseId !== record.releaseId
  );
}

/** Somebody else has changed what the shadow was to be compared with. Asking again would take that back. */
function isBaseTaken(record: RolloutRecord, device: RolloutDevice, { desired }: FleetDevice): boolean {
  if (toShadowTerms(record, device) === null || desired === null || desired.rolloutId === record.rolloutId)
    return false;
  return desired.releaseId !== record.releaseId && desired.releaseId !== device.previous?.releaseId;
}

function toWithdrawn({ device, attempt, outcome }: RolloutDevice): Decision {
  return {
    ...{ kind: "record-outcome", device, attempt, state: "rolled_back", code: withdrawnCode, numbers },
    reason:
      outcome === null
        ? `${device} was given another release to serve while this one ran beside it`
        : `the release was taken back from ${device} after it had succeeded`,
    selfTestPassed: outcome?.selfTestPassed ?? null,
  };
}

/** A newer rollout selects the device and this one has not brought it to an end: what it wants of it is over. */
function isOvertaken(record: RolloutRecord, device: RolloutDevice, { claimedBy, desired }: FleetDevice): boolean {
  if (claimedBy === null || device.outcome !== null) return false;
  return device.phase === "planned" || (device.phase === "offered" && desired?.rolloutId !== record.rolloutId);
}

/** A newer rollout selects the device and has given it its own word since, be it for the same release. */
function isTaken(record: RolloutRecord, { claimedBy, desired }: FleetDevice): boolean {
  return claimedBy !== null && desired !== null && desired.rolloutId !== record.rolloutId;
}

interface Member {
  readonly record: RolloutRecord;
  /** The rollout's, parsed once for all. */
  readonly selector: readonly SelectorRequirement[];
  readonly device: RolloutDevice;
  readonly seen: FleetDevice | undefined;
}

function toExclusion({ record, selector, device, seen }: Member): string | null {
  if (device.phase === "excluded" || device.phase === "reverted") return null;
  if (seen === undefined) return "device_gone";
  if (seen.lifecycle === "decommissioning" || seen.lifecycle === "decommissioned") return "device_decommissioned";
  const desired = seen.desired?.releaseId;
  const third = desired !== undefined && desired !== record.releaseId && desired !== device.previous?.releaseId;
  // Another rollout or a person has moved it since; taking that back is not ours. An answered revert is not that.
  if (record.state === "rolling_back")
    return isTouched(device) && (third || isTaken(record, seen)) ? "superseded" : null;
  if (isOvertaken(record, device, seen)) return "superseded";
  if (device.attempt > 0) return null;
  if (seen.lifecycle !== "enrolled") return "device_not_enrolled";
  return isSelected(selector, seen.labels) ? null : "not_selected";
}

/** Devices that can take no further part. One that was never offered may come back when the reason is gone. */
export function decideExclusions(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  const selector = parseSelector(record.spec.selector);
  return record.devices.flatMap((device): Decision[] => {
    const code = toExclusion({ record, selector, device, seen: fleet.get(device.device) });
    if (code === null) return [];
    const reason = `${device.device} takes no further part: ${code.replaceAll("_", " ")}`;
    return [{ kind: "exclude-device", device: device.device, code, reason, numbers }];
  });
}

/** Gives every device that may take part and has no stage one. */
export function decidePlan(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  const selector = parseSelector(record.spec.selector);
  const placed = new Set(
    record.devices.filter(({ phase, attempt }) => phase !== "excluded" || attempt > 0).map((d) => d.device),
  );
  const candidates = [...fleet.values()].filter(
    ({ device, labels, lifecycle, claimedBy }) =>
      lifecycle === "enrolled" && claimedBy === null && !placed.has(device) && isSelected(selector, labels),
  );
  const openFrom = record.stages.findIndex(({ state }) => state === "scheduled" || state === "running");
  const planned = planStages({
    rolloutId: record.rolloutId,
    spec: record.spec,
    candidates,
    assigned: new Map(
      record.devices.flatMap(({ device, stageIndex }) => (stageIndex === null ? [] : [[device, stageIndex] as const])),
    ),
    openFrom: openFrom === -1 ? record.stages.length : openFrom,
  });
  return [...planned].map(([device, stageIndex]): Decision => {
    const late = openFrom === -1;
    const desired = fleet.get(device)?.desired ?? null;
    const stage = record.stages[stageIndex]?.name ?? "";
    return {
      kind: "plan-device",
      device,
      stageIndex,
      late,
      previous: desired === null ? null : { releaseId: desired.releaseId, version: desired.version },
      code: late ? "joined_late" : "planned",
      reason: late ? `${device} joined after stage ${stage} was judged` : `${device} belongs to stage ${stage}`,
      numbers: { stageIndex },
    };
  });
}

/** Offers to planned devices whose stage has begun. Never to a device that is not enrolled. */
export function decideOffers(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  return record.devices.flatMap((device): Decision[] => {
    const seen = fleet.get(device.device);
    const stage = device.stageIndex === null ? undefined : record.stages[device.stageIndex];
    if (device.phase !== "planned" || seen?.lifecycle !== "enrolled" || stage === undefined) return [];
    if (!["running", "soaking", "passed"].includes(stage.state)) return [];
    const attempt = device.attempt + 1;
    const desired = seen.desired;
    const now = desired === null ? null : { releaseId: desired.releaseId, version: desired.version };
    return [
      {
        kind: "offer",
        device: device.device,
        releaseId: record.releaseId,
        attempt,
        shadow: toShadowTerms(record, device),
        // The first offer remembers what it replaces; a second must not remember the first.
        previous: device.attempt === 0 ? now : device.previous,
        code: attempt === 1 ? "stage_begun" : "retried",
        reason: `${device.device} is offered ${record.spec.model} ${record.spec.version} ${toShadowTerms(record, device) === null ? "" : "as a shadow "}in stage ${stage.name}`,
        numbers: { attempt },
      },
    ];
  });
}

/** One step back for every touched device, and the end when none is left that could still answer. */
export function decideRollback(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  const steps = record.devices.flatMap((device): Decision[] => {
    const seen = fleet.get(device.device);
    if (seen === undefined || !isTouched(device)) return [];
    const to = device.previous?.releaseId ?? null;
    const named = device.previous === null ? "an empty slot" : device.previous.version;
    if (device.phase === "reverting") {
      if (!isBack(record, device, seen)) return [];
      const reason = `${device.device} is back on ${named}`;
      return [{ kind: "confirm-revert", device: device.device, code: "reverted", reason, numbers }];
    }
    const attempt = device.attempt + 1;
    const reason = `${device.device} goes back to ${named}: ${record.reason}`;
    return [{ kind: "revert", device: device.device, to, attempt, code: record.code, reason, numbers: { attempt } }];
  });
  const touched = record.devices.filter(isTouched);
  if (steps.length > 0 || !touched.every(isStuck)) return steps;
  const { code } = record;
  return touched.length === 0
    ? [{ kind: "finish", state: "rolled_back", code, reason: `rolled back: ${record.reason}`, numbers }]
    : [
        {
          kind: "finish",
          state: "rollback_failed",
          code: "revert_failed",
          reason: `${touched.map(({ device }) => device).join(", ")} could not go back: ${touched[0]?.outcome?.reason ?? ""}`,
          numbers: { devices: touched.length },
        },
      ];
}

/** Requests whose desired state was never written or got lost: made again, with the same attempt. */
export function decideRepairs(record: RolloutRecord, fleet: Fleet): readonly Decision[] {
  return record.devices.flatMap((device): Decision[] => {
    const seen = fleet.get(device.device);
    if (seen === undefined || device.outcome !== null || toOwnJob(record, device, seen) !== null) return [];
    const { attempt, previous } = device;
    const desired = seen.desired;
    const because = { code: "request_lost", reason: `the request to ${device.device} is made again`, numbers };
    if (device.phase === "reverting") {
      const to = previous?.releaseId ?? null;
      if ((desired?.releaseId ?? null) === to && seen.desiredShadowId === null) return [];
      return [{ kind: "revert", device: device.device, to, attempt, ...because }];
    }
    if (device.phase !== "offered" || seen.lifecycle !== "enrolled" || isOvertaken(record, device, seen)) return [];
    if (desired?.rolloutId === record.rolloutId && desired.attempt === attempt) return [];
    const shadow = toShadowTerms(record, device);
    return [
      { kind: "offer", device: device.device, releaseId: record.releaseId, attempt, shadow, previous, ...because },
    ];
  });
}
