import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@fairlead/kernel";
import type { SignedDesiredState, SignedRelease } from "@fairlead/protocol";
import { openStore, type Device, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createDesiredStates } from "./desired-states.ts";

const nowMs = 1_800_000_000_000;
const toDigest = (release: number, build: number) => `sha256:${String(release * 100 + build).padStart(64, "0")}`;
const active = { releaseId: "rel-0", model: "reader", version: "1.0.0", buildDigest: toDigest(0, 0) };
const device = {
  ...{ device: "cam-1", tenant: "default", labels: {}, profile: "x", lifecycle: "enrolled", revision: 1 },
  ...{ commandGeneration: 0, enrolledAtMs: 1, assurance: "software", identityKey: null, endorsement: null },
  ...{
    enrolledKey: toDigest(99, 0),
    certificateSerial: null,
    certificateFingerprint: null,
    certificateNotAfterMs: null,
  },
  ...{ pendingCertificate: null, online: false, session: null, lastSeenMs: null, birth: null, birthAtMs: null },
  ...{ reportedEpoch: null, reportedRevision: null, reportedAtMs: null, integrity: "unknown", integrityReason: "" },
  ...{ integrityAtMs: null, chainIndex: null, chainHead: null, measurements: null, fileBaseline: null },
  ...{ clockSkewMs: null, epoch: null, deadLetters: 0, decommission: null, identityWatch: null, releasedAtMs: null },
  reported: {
    ...{ v: 1, epoch: "epoch0001", revision: 1, tsMs: nowMs, generation: 1, refusal: null, inferenceEndpoint: null },
    slots: [
      { slot: "reader", active, previous: null, serving: true, notServingReason: null, placement: null, job: null },
    ],
  },
} as unknown as Device;

/** A release of 32 builds, the most that a version may have. */
function toRelease(number: number, labels: readonly string[] = []): SignedRelease {
  const builds = Array.from({ length: 32 }, (_, index) => ({
    ...{ artifact: { digest: toDigest(number, index), sizeBytes: 1 }, format: "onnx", precision: "fp32" },
    ...{ quantization: "none", target: {}, inputs: [], outputs: [] },
  }));
  const content = { model: "reader", version: `1.${number}.0`, builds, classification: { output: "p", labels } };
  return { signed: { releaseId: `rel-${number}`, content } } as unknown as SignedRelease;
}

describe("what a device is asked for", () => {
  let folder: string;
  let store: Store;
  let published: SignedDesiredState[];
  let elapsedMs: number;
  const setSlot = async (slot: string, release: SignedRelease | null) => {
    elapsedMs += 1;
    const desired = createDesiredStates({
      ...{ tenant: "default", store, logger: silentLogger, apiUrl: () => "https://localhost:1" },
      clock: { nowMs: () => nowMs + elapsedMs, monotonicMs: () => 0 },
      link: { publish: async (_topic, document) => void published.push(document as SignedDesiredState) },
      sign: (signed) => ({ signed, signatures: [] }),
    });
    await store.transaction((tx) =>
      desired.setSlots(tx, "cam-1", [{ slot, release, rolloutId: null, attempt: elapsedMs, soakMs: 0 }]),
    );
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "fairlead-desired-"));
    store = openStore({ folder, nowMs });
    published = [];
    elapsedMs = 0;
    await store.transaction((tx) => tx.devices.add(device));
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it("never forgets the build that it says it runs, however many it was offered since and did not take", async () => {
    for (let number = 0; number < 12; number += 1) await setSlot("reader", toRelease(number));
    const [row] = await store.read.devices.listSlots("cam-1");
    expect(row?.knownDigests).toContain(active.buildDigest);
    expect(row?.knownDigests).toContain(toDigest(11, 31));
    expect(row?.knownDigests.length).toBeLessThanOrEqual(128);
  });

  it("names what was emptied until other slots need the places: a device may have had any number of them", async () => {
    for (let number = 0; number < 70; number += 1) {
      await setSlot(`slot-${number}`, toRelease(1));
      await setSlot(`slot-${number}`, null);
    }
    await setSlot("last", toRelease(2));
    const names = published.at(-1)?.signed.slots.map(({ slot }) => slot) ?? [];
    expect(names).toHaveLength(64);
    expect(names).toEqual(expect.arrayContaining(["last", "slot-69", "slot-7"]));
    expect(names).not.toContain("slot-6");
  });

  it("is refused when no broker would let it through, and what was asked before stays", async () => {
    await setSlot("reader", toRelease(1));
    const labels = Array.from({ length: 10_000 }, (_, index) => `a label with a long name ${index}`);
    await expect(setSlot("reader", toRelease(2, labels))).rejects.toMatchObject({ code: "desired_state_too_large" });
    const desired = await store.read.devices.getDesired("cam-1");
    expect(desired?.document.signed.slots[0]?.release?.signed.releaseId).toBe("rel-1");
    expect(published).toHaveLength(1);
  });
});
