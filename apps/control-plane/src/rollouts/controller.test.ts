import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { silentLogger } from "@fairlead/kernel";
import { rolloutSpecSchema, type SignedDesiredState, type SignedRelease } from "@fairlead/protocol";
import { createRollout, type RolloutRecord } from "@fairlead/rollout";
import { openStore, type Store } from "@fairlead/store";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createAuditLog } from "../audit/audit-log.ts";
import { createDesiredStates } from "../devices/desired-states.ts";
import { nowMs, toDeviceRow } from "../remediation/testing/device-row.ts";
import { createRolloutController, rolloutSubject } from "./controller.ts";
import type { RolloutPorts } from "./ports.ts";

const rolloutId = "rol-1";
const clock = { nowMs: () => nowMs, monotonicMs: () => 0 };
const spec = rolloutSpecSchema.parse({
  ...{ slot: "reader", model: "m", version: "2.0.0", selector: "", wholeFleet: true },
  stages: [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 1_000, timeoutMs: 60_000 }],
});
const document = {
  signed: { releaseId: "rel-9", content: { model: "m", version: "2.0.0", builds: [] } },
  signatures: [],
} as unknown as SignedRelease;
const about = { model: "m", version: "2.0.0", createdAtMs: nowMs, createdBy: "ada" };

describe("the controller of rollouts", () => {
  let folder = "";
  let store: Store;
  /** Names in the order in which they were asked, and where somebody else wrote in between. */
  let asked: string[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "rollouts-"));
    store = openStore({ folder, nowMs });
    asked = [];
    const record = createRollout({ rolloutId, spec, releaseId: "rel-9", createdAtMs: nowMs });
    await store.transaction(async (tx) => {
      for (let index = 10; index < 40; index += 1) await tx.devices.add(toDeviceRow(`cam-${index}`));
      await tx.modelVersions.add({ ...about, content: {} as never });
      await tx.releases.add({ ...about, releaseId: "rel-9", document, expiresAtMs: nowMs + 1 });
      const row = { rolloutId, slot: "reader", selector: "", state: record.state, record };
      await tx.rollouts.add({ ...row, createdBy: "ada", updatedAtMs: nowMs, revision: 1 });
    });
  });
  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const createController = (maxDecisions: number) => {
    const ports: Partial<RolloutPorts> = {
      ...{ clock, store, logger: silentLogger, audit: createAuditLog(clock) },
      stream: { emit: async () => undefined },
      announcements: { announce: async () => undefined } as never,
      vouching: { judge: async () => null } as never,
      desired: createDesiredStates({
        ...{ tenant: "default", clock, store, logger: silentLogger, apiUrl: () => "https://localhost:1" },
        link: { publish: async (_topic, body) => void asked.push((body as SignedDesiredState).signed.device) },
        sign: (signed) => ({ signed, signatures: [] }),
      }),
    };
    return createRolloutController(ports as RolloutPorts, maxDecisions);
  };
  const readRecord = async (): Promise<RolloutRecord> => {
    const row = await store.read.rollouts.get(rolloutId);
    if (row === undefined) throw new Error("the rollout is gone");
    return row.record;
  };

  it("takes what a fleet asks for a few decisions at a time, lets others write in between, and asks each device once", async () => {
    const controller = createController(7);
    controller.start();
    while (asked.length === 0) await setImmediate();
    const writing = store.transaction(async () => void asked.push("somebody else"));
    try {
      await expect.poll(() => asked.length, { timeout: 4_000 }).toBe(31);
    } finally {
      await Promise.all([controller.stop(), writing]);
    }
    const others = asked.indexOf("somebody else");
    expect(others).toBeGreaterThan(0);
    expect(others).toBeLessThanOrEqual(2 * 7);
    expect(new Set(asked).size).toBe(31);
    const { devices, stages } = await readRecord();
    expect(stages.map(({ state }) => state)).toEqual(["running"]);
    expect(devices.map(({ phase, attempt }) => `${phase} ${attempt}`)).toEqual(Array(30).fill("offered 1"));
    const entries = await store.read.audit.listOf(rolloutSubject(rolloutId), { limit: 100 });
    const count = (kind: string): number => entries.filter(({ action }) => action === `rollout.${kind}`).length;
    expect(["start-rollout", "plan-device", "start-stage", "offer"].map(count)).toEqual([1, 30, 1, 30]);
  });

  it("leaves the rest for the next start when it is to end", async () => {
    const controller = createController(1);
    controller.start();
    await controller.stop();
    expect((await readRecord()).state).toBe("running");
    expect(asked).toEqual([]);
    controller.start();
    await expect.poll(() => asked.length, { timeout: 20_000 }).toBeGreaterThan(0);
    await controller.stop();
  });
});
