import {
  isJobEnd,
  type DeviceDetail,
  type DeviceSlot,
  type DeviceSummary,
  type SlotReport,
  type TelemetryWindow,
} from "@fairlead/protocol";
import type { DesiredSlotRow, Device, DeviceEpoch } from "@fairlead/store";
import { listChangedConfiguration } from "./changed-configuration.ts";

function toStatus(
  device: Device,
  desired: DesiredSlotRow | undefined,
  report: SlotReport | undefined,
): DeviceSlot["status"] {
  // A silent device is unknown, whatever it said last.
  if (!device.online || device.reported === null) return "unknown";
  const wanted = desired?.releaseId ?? null;
  const running = report?.active?.releaseId ?? null;
  if (report?.job !== undefined && report.job !== null && !isJobEnd(report.job.state)) return "updating";
  return wanted === running ? "up_to_date" : "out_of_date";
}

function toDesired(row: DesiredSlotRow | undefined): DeviceSlot["desired"] {
  if (row === undefined || row.releaseId === null || row.model === null || row.version === null) return null;
  return { model: row.model, version: row.version, releaseId: row.releaseId, rolloutId: row.rolloutId };
}

function toSlot(device: Device, name: string, row: DesiredSlotRow | undefined): DeviceSlot {
  const report = device.reported?.slots.find((slot) => slot.slot === name);
  const active = report?.active ?? null;
  const job = report?.job ?? null;
  return {
    slot: name,
    desired: toDesired(row),
    running: active === null ? null : { model: active.model, version: active.version, buildDigest: active.buildDigest },
    serving: report?.serving ?? false,
    status: toStatus(device, row, report),
    job: job === null ? null : { state: job.state, code: job.code, reason: job.reason },
  };
}

export function toDeviceSummary(device: Device, rows: readonly DesiredSlotRow[]): DeviceSummary {
  const names = new Set([...rows.map((row) => row.slot), ...(device.reported?.slots.map((slot) => slot.slot) ?? [])]);
  return {
    device: device.device,
    labels: device.labels,
    profile: device.profile,
    lifecycle: device.lifecycle,
    online: device.online,
    lastSeenMs: device.lastSeenMs,
    integrity: device.integrity,
    assurance: device.assurance,
    slots: [...names].toSorted().map((name) =>
      toSlot(
        device,
        name,
        rows.find((row) => row.slot === name),
      ),
    ),
  };
}

function toCloned({ identityWatch }: Device): DeviceDetail["cloned"] {
  const finding = identityWatch?.finding ?? null;
  return finding === null ? null : { ...finding, evidence: [...finding.evidence] };
}

export interface DeviceFacts {
  readonly rows: readonly DesiredSlotRow[];
  readonly lastWindow: TelemetryWindow | undefined;
  readonly epochs: readonly DeviceEpoch[];
}

export function toDeviceDetail(device: Device, facts: DeviceFacts): DeviceDetail {
  const epoch = facts.epochs.find((row) => row.epoch === device.epoch) ?? facts.epochs[0];
  return {
    ...toDeviceSummary(device, facts.rows),
    enrolledAtMs: device.enrolledAtMs,
    certificateNotAfterMs: device.certificateNotAfterMs,
    endorsement: device.endorsement,
    birth: device.birth,
    reported: device.reported,
    lastWindow: facts.lastWindow ?? null,
    integrityReason: device.integrityReason,
    clockSkewMs: device.clockSkewMs,
    decommission: device.decommission,
    cloned: toCloned(device),
    changedConfiguration: [...listChangedConfiguration(device)],
    telemetry: {
      epoch: epoch?.epoch ?? null,
      storedUpTo: epoch?.storedUpTo ?? 0,
      deadLetters: device.deadLetters,
      gaps: facts.epochs.reduce((sum, row) => sum + row.gaps, 0),
    },
  };
}
