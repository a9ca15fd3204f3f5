import {
  appraise,
  closeBaseline,
  foldMeasurements,
  toFileBaseline,
  verifyChain,
  type Appraisal,
  type Baseline,
} from "@fairlead/integrity";
import type { Evidence, Measurement } from "@fairlead/protocol";
import type { DesiredSlotRow, Device } from "@fairlead/store";

/** Evidence older than this makes a verified device `stale`. */
export const evidenceMaxAgeMs = 3_600_000;

export interface EvidenceOutcome {
  readonly appraisal: Appraisal;
  /** What the device row becomes; nothing for a replay. */
  readonly change: Partial<Omit<Device, "device">>;
}

/** What may and must lie in each slot, by what the plane itself asked for and the device says it activated. */
function toSlotBaseline(device: Device, rows: readonly DesiredSlotRow[]): Baseline["slots"] {
  const active = new Set(device.reported?.slots.filter((slot) => slot.active !== null).map((slot) => slot.slot));
  return Object.fromEntries(
    rows.map((row) => [
      row.slot,
      { allowed: row.knownDigests, required: active.has(row.slot) && row.release !== null },
    ]),
  );
}

/**
 * Judges one link. A broken chain is a failure, and the link then becomes the new head, so that the next good link
 * (which a remediation asks for) can restore the device; the failure stays in evidence and audit.
 */
export function appraiseEvidence(
  device: Device,
  slots: readonly DesiredSlotRow[],
  received: { readonly evidence: Evidence; readonly nowMs: number },
): EvidenceOutcome {
  const { evidence, nowMs } = received;
  const last =
    device.chainIndex === null || device.chainHead === null
      ? null
      : { index: device.chainIndex, head: device.chainHead };
  const chain = verifyChain(last, evidence);
  // A plane that meets a device for the first time joins its chain where it is.
  const joined = last === null && chain.kind === "gap" && evidence.full ? ({ kind: "next" } as const) : chain;
  const isTrusted = joined.kind === "next" || joined.kind === "replay";
  const known = isTrusted ? device.measurements : null;
  const measurements =
    chain.kind === "altered" ? device.measurements : foldMeasurements(known === null ? null : [...known], evidence);
  const baseline = { slots: toSlotBaseline(device, slots), files: device.fileBaseline };
  if (joined.kind === "next" && measurements !== null && evidence.full)
    baseline.files =
      baseline.files === null
        ? toFileBaseline(measurements, nowMs)
        : closeBaseline(baseline.files, measurements, nowMs);
  const context = { chain: joined, receivedAtMs: nowMs, nowMs, maxAgeMs: evidenceMaxAgeMs };
  const appraisal = appraise(baseline, measurements === null ? null : [...measurements], context);
  if (chain.kind === "replay") return { appraisal, change: {} };
  const judged = { integrity: appraisal.state, integrityReason: appraisal.reason, integrityAtMs: nowMs };
  if (chain.kind === "altered") return { appraisal, change: judged };
  return {
    appraisal,
    change: {
      ...judged,
      chainIndex: evidence.index,
      chainHead: evidence.head,
      measurements,
      fileBaseline: baseline.files,
    },
  };
}

/** The measurements that the device's present evidence fails by; empty when the chain itself is what failed. */
export function listFailingMeasurements(device: Device, slots: readonly DesiredSlotRow[]): readonly Measurement[] {
  const baseline = { slots: toSlotBaseline(device, slots), files: device.fileBaseline };
  const measurements = device.measurements === null ? null : [...device.measurements];
  const context = { chain: { kind: "next" }, receivedAtMs: 0, nowMs: 0, maxAgeMs: evidenceMaxAgeMs } as const;
  return appraise(baseline, measurements, context).failing;
}
