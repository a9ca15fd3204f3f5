import type { SlotReport } from "@fairlead/protocol";
import type { Device } from "@fairlead/store";

export const nowMs = 1_800_000_000_000;
export const digestOf = (letter: string): string => `sha256:${letter.repeat(64)}`;

/** A slot that runs build b and ran build a before. */
export function toSlotReport(changes: Partial<SlotReport> = {}): SlotReport {
  return {
    ...{ slot: "reader", serving: true, notServingReason: null, placement: null, job: null },
    active: { releaseId: "rel-2", model: "m", version: "1.1.0", buildDigest: digestOf("b") },
    previous: { releaseId: "rel-1", model: "m", version: "1.0.0", buildDigest: digestOf("a") },
    ...changes,
  };
}

export function toDeviceRow(device: string, changes: Partial<Device> = {}): Device {
  return {
    ...{ device, tenant: "default", labels: {}, profile: "p", lifecycle: "enrolled", revision: 1, enrolledAtMs: nowMs },
    ...{ certificateSerial: null, certificateFingerprint: null, certificateNotAfterMs: null, online: true, session: 1 },
    ...{ lastSeenMs: nowMs, birth: null, birthAtMs: null, reportedEpoch: null, reportedRevision: null },
    ...{ reportedAtMs: null, integrity: "verified", integrityReason: null, integrityAtMs: nowMs, chainIndex: null },
    ...{ chainHead: null, measurements: null, fileBaseline: null, clockSkewMs: 0, epoch: null, deadLetters: 0 },
    ...{ pendingCertificate: null, decommission: null, identityWatch: null, releasedAtMs: null },
    ...{ assurance: "software", identityKey: null, endorsement: null, enrolledKey: digestOf("0") },
    commandGeneration: 0,
    reported: {
      ...{ v: 1, epoch: "epoch0001", revision: 1, tsMs: nowMs, generation: 1, refusal: null, inferenceEndpoint: null },
      slots: [toSlotReport()],
    },
    ...changes,
  };
}
