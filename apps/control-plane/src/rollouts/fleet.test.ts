import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noSightings } from "@fairlead/integrity";
import { openStore, type DesiredSlotRow, type Store } from "@fairlead/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nowMs, toDeviceRow, toSlotReport } from "../remediation/testing/device-row.ts";
import { loadFleet, loadRecorded } from "./fleet.ts";

/** More than one statement may name. */
const count = 1_205;
const toName = (index: number): string => `cam-${String(index).padStart(4, "0")}`;

describe("the fleet that a rollout looks at", () => {
  const folder = mkdtempSync(join(tmpdir(), "fleet-"));
  let store: Store;
  beforeAll(async () => {
    store = openStore({ folder, nowMs });
    const slot: DesiredSlotRow = {
      ...{ device: toName(1), slot: "reader", releaseId: "rel-2", model: "m", version: "1.1.0", rolloutId: "rol-1" },
      ...{ attempt: 2, soakMs: 0, release: null, knownDigests: [], updatedAtMs: nowMs, shadow: null },
    };
    const finding = { kind: "key-copied", sinceMs: nowMs, reason: "r" } as never;
    await store.transaction(async (tx) => {
      for (let index = 0; index < count; index += 1)
        await tx.devices.add(toDeviceRow(toName(index), { labels: { site: index % 3 === 0 ? "a" : "b" } }));
      await tx.devices.update(toName(4), { identityWatch: { ...noSightings, finding }, clockSkewMs: 7 });
      await tx.devices.update(toName(5), { identityWatch: noSightings, assurance: "tpm-endorsed" });
      await tx.devices.saveSlot(slot);
      await tx.devices.saveSlot({ ...slot, slot: "other", releaseId: "rel-9" });
      const shadow = { release: { signed: { releaseId: "rel-3" } } } as never;
      await tx.devices.saveSlot({ ...slot, device: toName(2), releaseId: null, version: null, shadow });
      const document = { signed: {}, signatures: [] } as never;
      await tx.devices.saveDesired({ device: toName(1), generation: 2, document, expiresAtMs: nowMs });
    });
  });
  afterAll(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });
  const load = (selector: string, slot = "reader") => loadFleet(store.read, { slot, selector, record: null });

  it("is every device that the selector names, in the order of their names, however many", async () => {
    expect((await load("")).map(({ device }) => device)).toEqual(Array.from({ length: count }, (_, at) => toName(at)));
    const some = await load("site=a");
    expect(some).toHaveLength(Math.ceil(count / 3));
    expect(some.every(({ labels }) => labels["site"] === "a")).toBe(true);
    expect((await load("fairlead.assurance=tpm-endorsed")).map(({ device }) => device)).toEqual([toName(5)]);
  });

  it("knows of each what it was asked in that slot, whether it has seen that, and what it runs", async () => {
    const [first, asked] = await load("");
    const running = toSlotReport().active;
    expect(first).toMatchObject({ desired: null, desiredSeen: true, running: { releaseId: running?.releaseId } });
    expect(asked).toMatchObject({
      desired: { releaseId: "rel-2", version: "1.1.0", rolloutId: "rol-1", attempt: 2 },
      desiredSeen: false,
    });
    // Nothing but a shadow.
    expect((await load(""))[2]).toMatchObject({ desired: null, desiredShadowId: "rel-3" });
    expect((await load("", "other"))[1]).toMatchObject({ desired: { releaseId: "rel-9" }, running: null });
  });

  it("is for its status the devices that its record names alone", async () => {
    const record = { spec: { slot: "reader" }, devices: [{ device: toName(1) }, { device: "gone" }] } as never;
    expect(await loadRecorded(store.read, record)).toEqual([(await load(""))[1]]);
  });

  it("has the devices that are doubted, and clocks where they are asked for", async () => {
    expect(await store.read.devices.listDoubted()).toEqual([toName(4)]);
    expect(await store.read.devices.listClockSkewsOf([toName(4), "nobody"])).toEqual([
      { device: toName(4), clockSkewMs: 7 },
    ]);
  });
});
