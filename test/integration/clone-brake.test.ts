import type { Alert, AuditEntry } from "@fairlead/protocol";
import { afterAll, beforeAll, expect, it } from "vitest";
import { runCliJson } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { createTelemetry, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function listFiring(): Promise<string[]> {
  const { items } = await harness.plane.get<{ items: Alert[] }>("/api/v1/alerts?limit=100");
  return items
    .filter(({ state }) => state === "firing")
    .map(({ kind }) => kind)
    .toSorted();
}

async function listEntries(action: string): Promise<AuditEntry[]> {
  const { items } = await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=500");
  return items.filter((entry) => entry.action === action);
}

/** What a device sends again after it was stored, with other content: so do all of them after a backup was restored. */
async function contradict(device: RawDevice): Promise<void> {
  await device.send("telemetry", createTelemetry(1, { tsMs: Date.now() + 5_000 }));
}

it("puts no more than a fifth of the fleet in quarantine when many contradict at once, and tells a person", async () => {
  await using devices = new AsyncDisposableStack();
  const connected: RawDevice[] = [];
  for (const index of range(10)) {
    const device = devices.use(await RawDevice.connect(harness, await enrol(harness, `cam-${index}`)));
    await device.birth();
    await device.send("telemetry", createTelemetry(1));
    await device.acknowledged(1);
    connected.push(device);
  }
  for (const device of connected.slice(0, 6)) await contradict(device);
  await eventually(
    "four of six are suppressed",
    async () => (await listEntries("device.clone-suppressed")).length === 4,
  );

  const quarantined = (await harness.plane.devices()).filter(({ lifecycle }) => lifecycle === "quarantined");
  expect(quarantined).toHaveLength(2);
  expect(await listEntries("device.clone-detected")).toHaveLength(2);
  expect(await listFiring()).toEqual(["clones-suppressed", "identity-cloned", "identity-cloned"]);
  expect((await listEntries("device.clone-suppressed"))[0]).toMatchObject({
    actor: "plane:integrity",
    reason: expect.stringContaining("2 of 10 devices are in quarantine already, at most 2 may be"),
    details: { code: "sequence_forked", brake: "blast_radius", held: 2, fleet: 10, limit: 2 },
  });

  // A suppressed one rests: the same sign again leaves neither an entry nor a quarantine, also when there is room.
  for (const { device } of quarantined)
    await runCliJson(["devices", "decommission", device, "--force", "--yes"], harness.plane.cliEnv);
  const names = new Set(quarantined.map(({ device }) => device));
  const left = connected.filter(({ name }) => !names.has(name));
  for (const device of left.slice(0, 4)) {
    await contradict(device);
    await device.send("telemetry", createTelemetry(2));
    await device.acknowledged(2);
  }
  expect(await listEntries("device.clone-suppressed")).toHaveLength(4);
  expect((await harness.plane.devices()).filter(({ lifecycle }) => lifecycle === "quarantined")).toEqual([]);

  // There is room, so one that was not suppressed is held; and the alert ends by a person's word.
  const fresh = left[4];
  if (fresh === undefined) throw new Error("no device is left");
  await contradict(fresh);
  await eventually(
    "it is in quarantine",
    async () => (await harness.plane.device(fresh.name)).lifecycle === "quarantined",
  );
  const { items } = await harness.plane.get<{ items: Alert[] }>("/api/v1/alerts?limit=100");
  const alertId = items.find(({ kind }) => kind === "clones-suppressed")?.alertId ?? "";
  await runCliJson(
    ["alerts", "resolve", alertId, "--reason", "the backup was restored", "--yes"],
    harness.plane.cliEnv,
  );
  expect(await listFiring()).toEqual(["identity-cloned"]);
});
