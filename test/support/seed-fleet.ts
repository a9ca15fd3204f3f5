import { toId } from "@fairlead/protocol";
import { createRollout } from "@fairlead/rollout";
import { openStore, type Device, type Transaction } from "@fairlead/store";
import { rolloutSpecSchema } from "@fairlead/protocol";

/** Ids of what one site has. */
export interface SeededSite {
  readonly site: string;
  readonly device: string;
  readonly rollout: string;
  readonly enrolment: string;
  readonly enrolmentToken: string;
  readonly remediation: string;
  readonly alert: string;
}

const atMs = 1_790_000_000_000;

const unknownDevice = {
  ...{ tenant: "default", profile: "generic-x86", lifecycle: "enrolled", revision: 1, enrolledAtMs: atMs },
  ...{
    certificateSerial: null,
    enrolledKey: `sha256:${"0".repeat(64)}`,
    commandGeneration: 0,
    certificateFingerprint: null,
    certificateNotAfterMs: null,
    pendingCertificate: null,
  },
  ...{ online: false, session: null, lastSeenMs: null, birth: null, birthAtMs: null, reported: null },
  ...{ reportedEpoch: null, reportedRevision: null, reportedAtMs: null, integrityReason: null, integrityAtMs: null },
  ...{ chainIndex: null, chainHead: null, measurements: null, fileBaseline: null, clockSkewMs: null, epoch: null },
  ...{ integrity: "unknown", deadLetters: 0, assurance: "software", identityKey: null, endorsement: null },
  ...{ decommission: null, identityWatch: null, releasedAtMs: null },
} as const satisfies Partial<Device>;

async function addSite(tx: Transaction, ids: SeededSite): Promise<void> {
  const labels = { site: ids.site };
  await tx.devices.add({ ...unknownDevice, device: ids.device, labels });
  const spec = rolloutSpecSchema.parse({
    ...{ slot: "reader", model: "digit-reader", version: "1.0.0", selector: `site=${ids.site}` },
    stages: [{ name: "all", target: { kind: "percent", percent: 100 } }],
  });
  const record = createRollout({
    rolloutId: ids.rollout,
    spec,
    releaseId: toId("rel", atMs, new Uint8Array(16)),
    createdAtMs: atMs,
  });
  await tx.rollouts.add({
    ...{ rolloutId: ids.rollout, slot: "reader", selector: spec.selector, state: "canceled", createdBy: "admin:seed" },
    ...{ updatedAtMs: atMs, revision: 1, record: { ...record, state: "canceled" } },
  });
  await tx.enrolmentTokens.add({
    ...{ tokenId: ids.enrolmentToken, hash: `none-${ids.site}`, description: "", labels, usesLeft: 3 },
    // Ends far beyond any clock of a test: what is over is removed.
    ...{ autoApprove: false, createdAtMs: atMs, expiresAtMs: 2 * atMs, selector: null, profile: null },
  });
  await tx.enrolments.add({
    ...{ enrolmentId: ids.enrolment, tokenId: "tok", tokenHash: "none", device: `${ids.site}-2`, state: "pending" },
    ...{ profile: "generic-x86", labels, csr: "none", csrFingerprint: "none", fromAddress: "127.0.0.1" },
    ...{
      requestedAtMs: atMs,
      decidedAtMs: null,
      reason: null,
      certificate: null,
      assurance: "software" as const,
      identityKey: null,
      endorsement: null,
    },
  });
  await tx.remediations.save({
    ...{ remediationId: ids.remediation, device: ids.device, open: false, updatedAtMs: atMs },
    caseData: {
      ...{ remediationId: ids.remediation, device: ids.device, rule: "seed", symptom: "device-silent", evidence: {} },
      ...{ state: "resolved", code: "seed", reason: "seed", detectedAtMs: atMs, updatedAtMs: atMs, endedAtMs: atMs },
      ...{ actions: [], attempt: 0, attemptAtMs: null, verifyingSinceMs: null, quarantine: "none", alert: "none" },
    },
  });
  await tx.alerts.add({
    ...{ alertId: ids.alert, remediationId: ids.remediation, device: ids.device, kind: "seed", state: "resolved" },
    ...{ summary: "seed", firedAtMs: atMs, resolvedAtMs: atMs },
  });
}

/** Fills the data folder of a plane that has not started yet with one of everything for each site. */
export async function seedFleet(folder: string, sites: readonly string[]): Promise<SeededSite[]> {
  const store = openStore({ folder, nowMs: atMs });
  const seeded = sites.map((site, index): SeededSite => {
    const id = (prefix: string) => toId(prefix, atMs, new Uint8Array(16).fill(index + 1));
    const ids = {
      rollout: id("rol"),
      enrolment: id("enr"),
      enrolmentToken: id("tok"),
      remediation: id("rem"),
      alert: id("alr"),
    };
    return { site, device: `${site}-1`, ...ids };
  });
  try {
    for (const ids of seeded) await store.transaction((tx) => addSite(tx, ids));
  } finally {
    await store.close();
  }
  return seeded;
}
