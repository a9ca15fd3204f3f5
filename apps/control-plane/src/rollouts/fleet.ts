import { isSelected, parseSelector, type Placement, toSelectableLabels } from "@fairlead/protocol";
import type { FleetDevice, RolloutRecord } from "@fairlead/rollout";
import type { FleetRow, Repositories, SelectableDevice } from "@fairlead/store";

function toWantedShare(placement: Placement | null): number | null {
  const wanted = placement?.requested[0];
  if (placement === null || placement.proved === null || wanted === undefined) return null;
  return placement.proved[wanted] ?? 0;
}

/** One device as a rollout sees it: through one slot. Whether a newer rollout claims it, see `claims.ts`. */
function toFleetDevice(selectable: SelectableDevice, device: FleetRow, slot: string): FleetDevice {
  const report = device.reported?.slots.find((candidate) => candidate.slot === slot);
  const active = report?.active ?? null;
  const job = report?.job ?? null;
  const row = device.desired;
  return {
    device: device.device,
    labels: toSelectableLabels(selectable),
    lifecycle: device.lifecycle,
    online: device.online,
    desired:
      row === null || row.releaseId === null || row.version === null
        ? null
        : { releaseId: row.releaseId, version: row.version, rolloutId: row.rolloutId, attempt: row.attempt },
    desiredSeen: (device.reported?.generation ?? -1) >= (device.generation ?? 0),
    job:
      job === null
        ? null
        : {
            rolloutId: job.rolloutId,
            attempt: job.attempt,
            state: job.state,
            code: job.code,
            reason: job.reason,
            selfTestPassed: job.selfTest?.passed ?? null,
          },
    running: active === null ? null : { releaseId: active.releaseId, version: active.version },
    desiredShadowId: row?.shadow?.release.signed.releaseId ?? null,
    shadowingId: report?.shadow?.releaseId ?? null,
    claimedBy: null,
    wantedShare: toWantedShare(report?.placement ?? null),
  };
}

async function load(from: Repositories, slot: string, selected: readonly SelectableDevice[]): Promise<FleetDevice[]> {
  const names = selected.map(({ device }) => device);
  const rows = new Map((await from.devices.listFleetOf(slot, names)).map((row) => [row.device, row]));
  return selected.flatMap((device) => {
    const row = rows.get(device.device);
    return row === undefined ? [] : [toFleetDevice(device, row, slot)];
  });
}

/** Every device that the selector names now, and every device that the record names, in the order of their names. */
export async function loadFleet(
  from: Repositories,
  about: { readonly slot: string; readonly selector: string; readonly record: RolloutRecord | null },
): Promise<FleetDevice[]> {
  const selector = parseSelector(about.selector);
  const named = new Set(about.record?.devices.map(({ device }) => device));
  const isWanted = (device: SelectableDevice): boolean =>
    named.has(device.device) || isSelected(selector, toSelectableLabels(device));
  return load(from, about.slot, (await from.devices.listSelectable()).filter(isWanted));
}

/** The devices that the record names, in no order. */
export async function loadRecorded(from: Repositories, { spec, devices }: RolloutRecord): Promise<FleetDevice[]> {
  return load(from, spec.slot, await from.devices.listSelectableOf(devices.map(({ device }) => device)));
}
