import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError, silentLogger } from "@fairlead/kernel";
import { defaultRemediationConfig } from "@fairlead/remediation";
import { openStore, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuditLog } from "../audit/audit-log.ts";
import { createRemediationController } from "./controller.ts";
import type { RemediationPorts } from "./ports.ts";
import { nowMs as startMs, toDeviceRow } from "./testing/device-row.ts";

let folder = "";
let store: Store;
let elapsedMs = 0;
let told: string[] = [];
let logged: unknown[] = [];
const clock = { nowMs: () => startMs + elapsedMs, monotonicMs: () => elapsedMs };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "remediation-"));
  store = openStore({ folder, nowMs: startMs });
  [elapsedMs, told, logged] = [0, [], []];
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A controller to whose alerts `fire` is put in front; each turn is one run of it. */
function createController(fire: (device: string) => void, ...more: number[]) {
  let ids = 0;
  const ports: Partial<RemediationPorts> = {
    onDeviceChanged: () => undefined,
    commands: { issue: async () => "cmd-1" },
    ...{ clock, store, audit: createAuditLog(clock), config: defaultRemediationConfig },
    logger: { ...silentLogger, error: (_message, fields) => void logged.push(fields) },
    stream: { emit: async () => undefined },
    createId: (prefix) => `${prefix}-${(ids += 1)}`,
    alerts: {
      fire: async (_tx, { device }) => {
        fire(device ?? "");
        told.push(device ?? "");
        return "alert-1";
      },
      resolve: async () => true,
    },
  };
  const controller = createRemediationController(ports as RemediationPorts, ...more);
  return async (): Promise<void> => {
    controller.start();
    await controller.stop();
  };
}

async function addSilent(...devices: readonly string[]): Promise<void> {
  for (const device of devices)
    await store.transaction(async (tx) => tx.devices.add(toDeviceRow(device, { online: false })));
}

describe("remediation", () => {
  it("sets a device aside that it cannot deal with, goes on with the others, and tries again after a minute", async () => {
    await addSilent("a", "b", "c");
    let isBroken = true;
    const turn = createController((device) => {
      if (device === "a" && isBroken) throw new RangeError("no such number");
    });
    elapsedMs = 3_600_000;
    await turn();
    // What the failed round had told was undone with it, and told again in the next.
    expect([...new Set(told)].toSorted()).toEqual(["b", "c"]);
    expect(logged).toEqual([{ device: "a", retryInMs: 60_000, error: "no such number" }]);
    expect((await store.read.remediations.listOpenOrSince(0)).map(({ device }) => device).toSorted()).toEqual([
      ...["a", "b", "c"],
    ]);
    [isBroken, told] = [false, []];
    await turn();
    expect(told).toEqual([]);
    elapsedMs += 60_000;
    await turn();
    expect(told).toEqual(["a"]);
  });

  it("counts a device in quarantine against its limit while it is set aside", async () => {
    await store.transaction(async (tx) => {
      await tx.devices.add(toDeviceRow("a", { lifecycle: "quarantined", online: false }));
      await tx.devices.add(toDeviceRow("b", { integrity: "failed" }));
    });
    const turn = createController((device) => {
      if (device === "a") throw new RangeError("no such number");
    });
    elapsedMs = 3_600_000;
    await turn();
    await turn();
    expect(logged).toMatchObject([{ device: "a" }]);
    const cases = await store.read.remediations.listOpenOrSince(0);
    expect(cases.filter(({ device }) => device === "b").map(({ caseData }) => caseData.code)).toEqual(["blast_radius"]);
    expect((await store.read.devices.get("b"))?.lifecycle).toBe("enrolled");
  });

  it("sets nobody aside for what the store as a whole refuses", async () => {
    await addSilent("a", "b");
    const turn = createController(() => {
      throw new CodedError("storage_full", "the disk of the data folder is full");
    });
    elapsedMs = 3_600_000;
    await turn();
    expect(logged).toEqual([{ error: "the disk of the data folder is full" }]);
  });

  it("takes what a fleet asks for a few devices at a time, and tells of each once", async () => {
    const names = ["a", "b", "c", "d", "e", "f", "g"];
    await addSilent(...names);
    const turn = createController(() => undefined, 2);
    elapsedMs = 3_600_000;
    for (let turns = 0; turns < 4; turns += 1) await turn();
    expect(told.toSorted()).toEqual(names);
  });
});
