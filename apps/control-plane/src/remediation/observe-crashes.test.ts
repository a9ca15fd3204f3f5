import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { decide, defaultRemediationConfig } from "@fairlead/remediation";
import { openStore, type EventRow, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadObservations } from "./observe.ts";
import { digestOf, nowMs, toDeviceRow } from "./testing/device-row.ts";

const config = defaultRemediationConfig;
const weekMs = 7 * 86_400_000;
let folder = "";
let store: Store;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "observe-"));
  store = openStore({ folder, nowMs });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

function toCrash(device: string, seq: number, told: Partial<EventRow> & { readonly build?: string } = {}): EventRow {
  const { build = "b", ...changes } = told;
  const buildDigest = digestOf(build);
  const data = { kind: "serving-crashed", slot: "reader", buildDigest, exit: "SIGSEGV", restarts: 1 } as const;
  const type = "io.fairlead.device.serving-crashed.v1";
  return {
    ...{ device, epoch: "epoch0001", seq, kind: data.kind, tsMs: nowMs - 60_000, receivedMs: nowMs - 60_000 },
    event: {
      ...{ specversion: "1.0", id: `e${seq}`, source: `devices/${device}`, type, datacontenttype: "application/json" },
      time: new Date(nowMs).toISOString(),
      data,
    },
    ...changes,
  };
}

/** The device's one event again and again: one statement, where the repository would take thousands. */
async function repeat(device: string, times: number): Promise<void> {
  await store.close();
  const database = new DatabaseSync(join(folder, "plane.db"));
  const numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)";
  const copied = "SELECT device, epoch, i, kind, tsMs, receivedMs, event FROM events, n WHERE device = ?";
  const into = "INSERT INTO events (device, epoch, seq, kind, tsMs, receivedMs, event)";
  database.prepare(`${numbers} ${into} ${copied}`).run(times, device);
  database.close();
  store = openStore({ folder, nowMs });
}

async function listOpened(): Promise<string[]> {
  const crashesSinceMs = nowMs - config.crashLoopWindowMs;
  const about = {
    cases: [],
    crashesSinceMs,
    crashesPerBuild: config.crashLoopCount,
    listeningSinceMs: nowMs,
    aside: new Set<string>(),
  };
  const observations = await loadObservations(store.read, about);
  return decide({ observations, cases: [], config, nowMs }).flatMap((action) =>
    action.kind === "open-case" ? [`${action.device} ${action.rule}`] : [],
  );
}

describe("the crashes that a look at the fleet sees", () => {
  it("are those of every device, however many one of them tells of a build that nobody runs", async () => {
    await store.transaction(async (tx) => {
      for (const device of ["bad-1", "good-1"]) await tx.devices.add(toDeviceRow(device));
      for (const seq of [1, 2, 3]) await tx.events.add(toCrash("good-1", seq, { receivedMs: nowMs - 120_000 }));
      await tx.events.add(toCrash("bad-1", 0, { build: "f" }));
    });
    await repeat("bad-1", 5_000);
    expect(await listOpened()).toEqual(["good-1 revert-crashing-build"]);
  });

  it("lie where they happened: those of three weeks, told together, are no loop", async () => {
    await store.transaction(async (tx) => {
      await tx.devices.add(toDeviceRow("cam-1"));
      for (const week of [3, 2, 1])
        await tx.events.add(toCrash("cam-1", 4 - week, { tsMs: nowMs - week * weekMs, receivedMs: nowMs }));
    });
    expect(await listOpened()).toEqual([]);
  });

  it("are placed by the plane's clock where the device's is known to be wrong", async () => {
    await store.transaction(async (tx) => {
      await tx.devices.add(toDeviceRow("cam-1", { clockSkewMs: -3 * weekMs }));
      for (const seq of [1, 2, 3]) await tx.events.add(toCrash("cam-1", seq, { tsMs: nowMs - 3 * weekMs - seq }));
    });
    expect(await listOpened()).toEqual(["cam-1 revert-crashing-build"]);
  });
});
