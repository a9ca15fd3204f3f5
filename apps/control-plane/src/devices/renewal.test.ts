import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore, type Device, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createRenewals, type Renewals } from "./renewal.ts";

const toFingerprint = (letter: string) => `sha256:${letter.repeat(64)}`;
const known = toFingerprint("a");
const next = toFingerprint("b");
const endMs = 1_000_000;

const device: Device = {
  ...{ device: "cam-1", tenant: "default", labels: {}, profile: "x", lifecycle: "enrolled", revision: 1 },
  ...{ commandGeneration: 0, enrolledAtMs: 1, assurance: "software", identityKey: null, endorsement: null },
  ...{ enrolledKey: toFingerprint("c"), certificateSerial: "01", certificateFingerprint: known },
  certificateNotAfterMs: endMs,
  pendingCertificate: { serial: "02", fingerprint: next, notAfterMs: 2 * endMs },
  ...{ online: false, session: null, lastSeenMs: null, birth: null, birthAtMs: null, reported: null },
  ...{ reportedEpoch: null, reportedRevision: null, reportedAtMs: null, integrity: "unknown", integrityReason: "" },
  ...{ integrityAtMs: null, chainIndex: null, chainHead: null, measurements: null, fileBaseline: null },
  ...{ clockSkewMs: null, epoch: null, deadLetters: 0, decommission: null, identityWatch: null, releasedAtMs: null },
};

describe("a device's certificate", () => {
  let folder: string;
  let store: Store;
  let nowMs: number;
  let replaced: string[];
  let renewals: Renewals;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "fairlead-renewal-"));
    nowMs = 1_000;
    replaced = [];
    store = openStore({ folder, nowMs });
    await store.transaction((tx) => tx.devices.add(device));
    renewals = createRenewals({
      ...{ tenant: "default", store, certificateDays: 1 },
      clock: { nowMs: () => nowMs, monotonicMs: () => nowMs },
      audit: { append: async () => undefined } as never,
      stream: { emit: async () => undefined } as never,
      authority: {} as never,
      onReplaced: (_device, fingerprint) => void replaced.push(fingerprint),
    });
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const admit = (fingerprint: string) => renewals.admit("cam-1", fingerprint, "127.0.0.1");

  it("is in force until its end, and not over a connection that outlives it", async () => {
    expect(await admit(known)).toBe(true);
    nowMs = endMs;
    expect(await admit(known)).toBe(false);
  });

  it("comes into force at its first use, which ends the one before it", async () => {
    expect(await admit(next)).toBe(true);
    expect(replaced).toEqual([next]);
    expect(await admit(known)).toBe(false);
    expect(await admit(next)).toBe(true);
    expect(replaced).toEqual([next]);
  });

  it("does not come into force when its own end has come before it was used", async () => {
    nowMs = 2 * endMs;
    expect(await admit(next)).toBe(false);
    expect(replaced).toEqual([]);
  });

  it("does not come into force when the device is decommissioned while its first use waits", async () => {
    const { promise: held, resolve: go } = Promise.withResolvers<void>();
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const leaving = store.transaction(async (tx) => {
      const gone = { certificateFingerprint: null, pendingCertificate: null };
      await tx.devices.update("cam-1", { lifecycle: "decommissioned", ...gone });
      begin();
      await held;
    });
    await begun;
    const admitted = admit(next);
    // It has read the device as it was before, and waits for its turn to write.
    await store.read.devices.get("cam-1");
    go();
    await leaving;
    expect(await admitted).toBe(false);
    expect(replaced).toEqual([]);
  });
});
