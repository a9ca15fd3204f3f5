import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noSightings } from "@fairlead/integrity";
import { openStore, type Device, type EnrolmentRow, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseScope } from "../authority/scope.ts";
import type { Admission } from "./admission.ts";
import { createEnrolments } from "./enrolment.ts";
import { createRelease } from "./release.ts";

const key = `sha256:${"a".repeat(64)}`;
const finding = { code: "instances_alternate", reason: "used in turn", evidence: ["x"], foundAtMs: 50 } as const;
const device: Device = {
  ...{ device: "cam-1", tenant: "default", labels: {}, profile: "x", lifecycle: "quarantined", revision: 1 },
  ...{ commandGeneration: 0, enrolledAtMs: 1, assurance: "software", identityKey: null, endorsement: null },
  ...{ enrolledKey: key, certificateSerial: "01", certificateFingerprint: key },
  certificateNotAfterMs: 1_000_000,
  pendingCertificate: null,
  ...{ online: false, session: null, lastSeenMs: null, birth: null, birthAtMs: null, reported: null },
  ...{ reportedEpoch: null, reportedRevision: null, reportedAtMs: null, integrity: "unknown", integrityReason: "" },
  ...{ integrityAtMs: null, chainIndex: null, chainHead: null, measurements: null, fileBaseline: null },
  ...{
    clockSkewMs: null,
    epoch: null,
    deadLetters: 0,
    decommission: null,
    identityWatch: { ...noSightings, finding },
    releasedAtMs: null,
  },
};

const row: EnrolmentRow = {
  ...{ enrolmentId: "enr-old", device: "cam-1", csr: "", csrFingerprint: key, profile: "x", labels: {} },
  ...{ fromAddress: "", assurance: "software", identityKey: null, endorsement: null, tokenId: "tok-1" },
  ...{ tokenHash: "h", state: "approved", requestedAtMs: 1, decidedAtMs: 1, reason: null, certificate: null },
};
const by = { actor: "admin", from: "127.0.0.1", scope: parseScope(null) };

describe("the release of an identity that was used twice", () => {
  let folder: string;
  let store: Store;
  const admitted: string[] = [];
  const clock = { nowMs: () => 100, monotonicMs: () => 100 };
  const audit = { append: async () => undefined } as never;
  const stream = { emit: async () => undefined } as never;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "fairlead-release-"));
    admitted.length = 0;
    store = openStore({ folder, nowMs: 0 });
    await store.transaction(async (tx) => {
      await tx.devices.add(device);
      await tx.enrolments.add(row);
    });
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const wait = (enrolmentId: string, asked: Partial<EnrolmentRow>) =>
    store.transaction((tx) =>
      tx.enrolments.add({ ...row, state: "pending", decidedAtMs: null, enrolmentId, tokenHash: enrolmentId, ...asked }),
    );
  const release = () =>
    createRelease({
      ...{ store, clock, audit, stream, hooks: () => [], endSessions: () => undefined },
      alerts: { resolveOfDevice: async () => undefined } as never,
    })("cam-1", { ...by, reason: "new key", headers: new Headers() });
  const approve = (enrolmentId: string) =>
    createEnrolments({
      ...{ store, clock, audit, stream, createId: () => "x", authorityFingerprint: "" },
      admission: {
        issueFor: async () => ({}),
        admit: async (_tx: unknown, one: EnrolmentRow) => {
          admitted.push(one.enrolmentId);
          return one;
        },
      } as unknown as Admission,
    }).approve(enrolmentId, by);

  it("denies every request that waits under the name", async () => {
    await wait("enr-waiting", { requestedAtMs: 60 });
    await release();
    expect(await store.read.enrolments.get("enr-waiting")).toMatchObject({ state: "denied" });
    await expect(approve("enr-waiting")).rejects.toMatchObject({ code: "conflict" });
  });

  it("admits no retired key and no request of before by an approval either, and a new key that asked since", async () => {
    await release();
    await wait("enr-retired", { requestedAtMs: 101 });
    await wait("enr-early", { requestedAtMs: 99, csrFingerprint: "sha256:b" });
    await wait("enr-new", { requestedAtMs: 101, csrFingerprint: "sha256:c" });
    await expect(approve("enr-retired")).rejects.toMatchObject({ code: "key_retired" });
    await expect(approve("enr-early")).rejects.toMatchObject({ code: "token_spent" });
    await approve("enr-new");
    expect(admitted).toEqual(["enr-new"]);
  });
});
