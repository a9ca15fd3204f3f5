import { isSelected, parseSelector, type Labels } from "@fairlead/protocol";
import { hasStageFor, type FleetDevice, type RolloutRecord } from "@fairlead/rollout";
import type { Repositories } from "@fairlead/store";
import type { Vouching } from "../trust/vouching.ts";

export interface ClaimContext {
  readonly from: Repositories;
  readonly vouching: Vouching;
  readonly nowMs: number;
}

/** A newer rollout of the slot. */
interface Claimant {
  readonly rolloutId: string;
  readonly takes: (labels: Labels) => boolean;
  /** It has succeeded, and its release is none that a device would take now: newcomers get nothing from it. */
  readonly isWithdrawn: boolean;
}

async function loadClaimants(
  { from, vouching, nowMs }: ClaimContext,
  record: RolloutRecord,
  fleet: readonly FleetDevice[],
): Promise<readonly Claimant[]> {
  const claimants: Claimant[] = [];
  for (const { rolloutId, selector, state } of await from.rollouts.listLivePlaces(record.spec.slot)) {
    const selected = parseSelector(selector);
    // Its specification is read only where it matters: records are large, and mostly rollouts have devices of their own.
    if (rolloutId <= record.rolloutId || !fleet.some(({ labels }) => isSelected(selected, labels))) continue;
    const newer = (await from.rollouts.get(rolloutId))?.record;
    if (newer === undefined) continue;
    const release = state === "succeeded" ? await from.releases.get(newer.releaseId) : undefined;
    claimants.push({
      rolloutId,
      takes: (labels) => isSelected(selected, labels) && hasStageFor(newer.spec, labels),
      isWithdrawn: release !== undefined && (await vouching.judge(from, release.document.signed, nowMs)) !== null,
    });
  }
  return claimants;
}

/** The fleet, each device with the newest rollout that has a newer word for it than this one. */
export async function markClaims(
  context: ClaimContext,
  record: RolloutRecord,
  fleet: readonly FleetDevice[],
): Promise<FleetDevice[]> {
  const claimants = await loadClaimants(context, record, fleet);
  return fleet.map((device) => {
    // Whoever runs something keeps it, though its release be withdrawn; a person decides what becomes of it.
    const claims = ({ takes, isWithdrawn }: Claimant): boolean =>
      takes(device.labels) && !(isWithdrawn && device.desired === null);
    return { ...device, claimedBy: claimants.find(claims)?.rolloutId ?? null };
  });
}
