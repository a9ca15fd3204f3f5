import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import Database from "better-sqlite3";
import type { AuditEntry } from "@fairlead/protocol";
import { toChainLink } from "@fairlead/integrity";
import { toTopic } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { createTelemetry, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

function query<Row>(sql: string, device: string): Row[] {
  const database = new Database(join(harness.dir, "data", "plane.db"), { readonly: true });
  const rows = database.prepare<[string], Row>(sql).all(device);
  database.close();
  return rows;
}
const countWindows = (device: string): number =>
  query<{ n: number }>("SELECT count(*) AS n FROM host_windows WHERE device = ?", device)[0]?.n ?? -1;
const listDeadCodes = (device: string): string[] =>
  query<{ code: string }>("SELECT code FROM dead_letters WHERE device = ? ORDER BY id", device).map(({ code }) => code);
const readActions = async (device: string): Promise<string[]> =>
  (await harness.plane.get<{ items: AuditEntry[] }>(`/api/v1/audit?subject=${device}&limit=200`)).items.map(
    ({ action }) => action,
  );

async function connect(name: string): Promise<RawDevice> {
  const device = await RawDevice.connect(harness, await enrol(harness, name));
  await device.birth();
  return device;
}

describe("A35 what was accepted before and is sent again", () => {
  it("A35 telemetry of yesterday is acknowledged and not counted twice, before and after the plane was killed", async () => {
    const identity = await enrol(harness, "replay-1");
    const yesterday = [1, 2, 3].map((seq) => createTelemetry(seq, { tsMs: Date.now() - 86_400_000 }));
    for (const session of [1, 2]) {
      await using device = await RawDevice.connect(harness, identity, session);
      await device.birth({ session });
      for (const message of [...yesterday, ...yesterday.toReversed()]) await device.send("telemetry", message);
      await device.acknowledged(3);
      expect(countWindows("replay-1")).toBe(3);
      if (session === 1) {
        await harness.plane.process.kill("SIGKILL");
        await harness.plane.start();
      }
    }
    expect(await harness.plane.device("replay-1")).toMatchObject({
      ...{ lifecycle: "enrolled", cloned: null },
      telemetry: { storedUpTo: 3, gaps: 0, deadLetters: 0 },
    });
  });

  it("A35 evidence of yesterday changes neither the chain nor the verdict", async () => {
    await using device = await connect("replay-2");
    const link = (previous: { index: number; head: string } | null, tsMs: number) =>
      toChainLink({ previous, tsMs, trigger: "periodic", full: true, measurements: [] });
    const first = link(null, Date.now() - 86_400_000);
    const second = link({ index: 0, head: first.head }, Date.now());
    const send = async (seq: number, evidence: object) => await device.send("evidence", { ...stamp(seq), evidence });
    await send(1, first);
    await send(2, second);
    await device.acknowledged(2);
    const before = await harness.plane.device("replay-2");
    // The same message again, and the same link in a new message.
    await send(1, first);
    await send(3, second);
    await device.acknowledged(3);
    const after = await harness.plane.device("replay-2");
    expect([after.integrity, after.integrityReason, after.cloned]).toEqual([
      before.integrity,
      before.integrityReason,
      null,
    ]);
    const [head] = query<{ chainHead: string }>("SELECT chainHead FROM devices WHERE device = ?", "replay-2");
    expect(head?.chainHead).toBe(second.head);
  });

  it("A35 another content in the place of what is stored is not taken, and marks the identity as used twice", async () => {
    await using device = await connect("replay-3");
    await device.send("telemetry", createTelemetry(1));
    await device.acknowledged(1);
    await device.send("telemetry", createTelemetry(1, { tsMs: Date.now() - 5_000 }));
    const seen = await eventually("it is quarantined", async () => {
      const { cloned, lifecycle } = await harness.plane.device("replay-3");
      return lifecycle === "quarantined" && cloned;
    });
    expect(seen).toMatchObject({ code: "sequence_forked" });
    expect(countWindows("replay-3")).toBe(1);
  });
});

function stamp(seq: number) {
  return { v: 1, epoch: "epoch0001", seq, tsMs: Date.now(), uptimeMs: 1_000 };
}

/** One good message as text, with a piece replaced: JSON has no word for what the attack needs. */
function forge(seq: number, from: string, to: string): string {
  const text = JSON.stringify(createTelemetry(seq));
  expect(text).toContain(from);
  return text.replace(from, to);
}

describe("A36 readings that cannot be", () => {
  it("A36 NaN, Infinity, 1e308, negative energy, ten thousand metrics and ten thousand slots become dead letters", async () => {
    await using device = await connect("poison-1");
    const total = '"totalJ":{"value":1}';
    const metrics = Array.from({ length: 10_000 }, (_, index) => `"m${index}":{"value":1}`).join();
    const hostile = [
      forge(2, '"cpuRatio":{"value":0.5}', '"cpuRatio":{"value":NaN}'),
      forge(3, '"cpuRatio":{"value":0.5}', '"cpuRatio":{"value":Infinity}'),
      forge(4, '"cpuRatio":{"value":0.5}', '"cpuRatio":{"value":1e999}'),
      forge(5, '"cpuRatio":{"value":0.5}', '"cpuRatio":{"value":1e308}'),
      forge(6, total, '"totalJ":{"value":-1}'),
      forge(7, total, '"totalJ":{"value":1e308}'),
      forge(8, '"cpuRatio":{"value":0.5}', `"cpuRatio":{"value":0.5},${metrics}`),
      forge(9, '"slots":[]', `"slots":[${Array.from({ length: 10_000 }, () => "{}").join()}]`),
      forge(10, '"uptimeMs":1000', '"uptimeMs":-1'),
      forge(11, '"mergedWindows":1', '"mergedWindows":1e15'),
    ];
    await device.send("telemetry", createTelemetry(1));
    for (const text of hostile) await device.send("telemetry", text);
    await device.send("telemetry", createTelemetry(12));
    await device.acknowledged(12);
    const { telemetry, lastWindow } = await harness.plane.device("poison-1");
    expect(telemetry).toMatchObject({ storedUpTo: 12, deadLetters: hostile.length, gaps: 0 });
    expect(new Set(listDeadCodes("poison-1"))).toEqual(new Set(["payload_not_json", "payload_invalid"]));
    expect(countWindows("poison-1")).toBe(2);
    expect(lastWindow?.host.cpuRatio).toEqual({ value: 0.5 });
  });

  it("A36 windows of 2099 are placed at their receipt, flagged once, and stand before nothing that comes after", async () => {
    await using device = await connect("future-1");
    const year2099 = Date.UTC(2099, 0, 1);
    await device.send("telemetry", createTelemetry(1, { tsMs: year2099 }));
    await device.send("telemetry", createTelemetry(2, { tsMs: year2099 + 1_000 }));
    await device.acknowledged(2);
    const rows = query<{ atMs: number }>("SELECT atMs FROM host_windows WHERE device = ?", "future-1");
    expect(rows).toHaveLength(2);
    for (const { atMs } of rows) expect(atMs).toBeLessThanOrEqual(Date.now());
    expect((await readActions("future-1")).filter((action) => action === "device.clock-skew")).toHaveLength(1);
    await device.send("telemetry", createTelemetry(3));
    await device.acknowledged(3);
    // A clock that is right again is believed again.
    const [last] = query<{ atMs: number }>(
      "SELECT max(atMs) AS atMs FROM host_windows WHERE device = ? AND seq = 3",
      "future-1",
    );
    expect(Math.abs((last?.atMs ?? 0) - Date.now())).toBeLessThan(60_000);
    expect((await harness.plane.device("future-1")).lastWindow?.t1Ms).toBeLessThan(Date.now() + 60_000);
    // Beyond what the protocol has a word for.
    await device.send("telemetry", createTelemetry(4, { tsMs: Date.UTC(2101, 0, 1) }));
    await device.acknowledged(4);
    expect(listDeadCodes("future-1")).toEqual(["payload_invalid"]);
  });
});

describe("A37 payloads that are not what they say", () => {
  it("A37 gzip bombs, CBOR, broken UTF-8, deep nesting, hostile keys and long strings are dead letters, counted, and stop nothing", async () => {
    await using device = await connect("shape-1");
    const topic = toTopic({ kind: "up", tenant: "default", device: "shape-1", channel: "telemetry" });
    const prefix = (seq: number): string => JSON.stringify(stamp(seq)).slice(0, -1);
    const bomb = gzipSync(Buffer.alloc(64 * 1_048_576));
    expect(bomb.byteLength).toBeLessThan(100_000);
    const hostile: (string | Buffer)[] = [
      bomb,
      Buffer.from([0xa2, 0x61, 0x76, 0x01, 0x65, 0x65, 0x70, 0x6f, 0x63, 0x68, 0x00]),
      Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
      Buffer.alloc(0),
      `${prefix(1)},"windows":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
      `${prefix(2)},"windows":${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}}`,
      `${prefix(3)},"windows":"${"x".repeat(250_000)}"}`,
      `${prefix(4)},"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"windows":[]}`,
    ];
    const memoryBefore = residentBytes();
    for (const payload of hostile) await device.client.publishAsync(topic, payload, { qos: 1 });
    await device.send("telemetry", createTelemetry(5));
    await device.acknowledged(5);
    expect(residentBytes() - memoryBefore).toBeLessThan(60_000_000);
    const { telemetry } = await harness.plane.device("shape-1");
    expect(telemetry).toMatchObject({ storedUpTo: 5, deadLetters: hostile.length });
    expect(countWindows("shape-1")).toBe(1);
    const heads = query<{ head: string; sizeBytes: number }>(
      "SELECT head, sizeBytes FROM dead_letters WHERE device = ?",
      "shape-1",
    );
    for (const { head } of heads) expect(Buffer.from(head, "base64").byteLength).toBeLessThanOrEqual(512);
  });

  it("A37 a string of a megabyte ends the connection before it is read, and nobody else's", async () => {
    await using other = await connect("shape-2");
    await using device = await connect("shape-3");
    const closed = new Promise<void>((resolve) => device.client.once("close", () => resolve()));
    const topic = toTopic({ kind: "up", tenant: "default", device: "shape-3", channel: "telemetry" });
    device.client.publish(topic, JSON.stringify({ ...stamp(1), windows: "x".repeat(1_048_576) }), { qos: 1 });
    await closed;
    await other.send("telemetry", createTelemetry(1));
    await other.acknowledged(1);
    expect((await harness.plane.device("shape-3")).telemetry.storedUpTo).toBe(0);
  });
});

function residentBytes(): number {
  const status = readFileSync(`/proc/${harness.plane.process.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/u.exec(status)?.[1] ?? 0) * 1_024;
}
