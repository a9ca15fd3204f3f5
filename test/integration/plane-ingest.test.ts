import Database from "better-sqlite3";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { createTelemetry, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

/** What is on disk, read beside the plane. */
function count(from: Harness, device: string): number {
  const database = new Database(join(from.dir, "data", "plane.db"), { readonly: true });
  const rows = database.prepare("SELECT count(*) FROM host_windows WHERE device = ?").pluck().get(device);
  database.close();
  return Number(rows);
}

describe("ingest", () => {
  test("stores each message once and acknowledges what is contiguous", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "one"));
    await device.birth();
    for (const seq of [1, 2, 2, 1, 4, 5]) await device.send("telemetry", createTelemetry(seq));
    await device.acknowledged(2);
    await eventually("everything is stored", () => count(harness, "one") === 4);
    expect(device.received.some(({ body }) => body["upTo"] === 5)).toBe(false);
    await device.send("telemetry", createTelemetry(3));
    await device.acknowledged(5);
    expect(count(harness, "one")).toBe(5);
    expect((await harness.plane.device("one")).telemetry).toMatchObject({ storedUpTo: 5, gaps: 0, deadLetters: 0 });
  });

  test("tells in its metrics what devices were asked, each window once", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "asked"));
    await device.birth();
    const slot = {
      ...{ slot: "counted", model: "digit-reader", version: "1.0.0", buildDigest: `sha256:${"b".repeat(64)}` },
      ...{ requests: 20, errors: { runtime: 2 }, busyUs: 250_000, confidence: null, classCounts: null, nanCount: 0 },
      latencyUs: { scale: 0, zeroCount: 0, offset: 0, counts: [18], sum: 500_000, min: 1, max: 2 },
      ...{ outputMin: null, outputMax: null, activeJ: { value: 9 }, joulesPerInference: { value: 0.5 } },
    };
    const toMessage = (seq: number) => {
      const message = createTelemetry(seq);
      return { ...message, windows: message.windows.map((window) => ({ ...window, slots: [slot] })) };
    };
    for (const seq of [1, 1, 2, 1, 2]) await device.send("telemetry", toMessage(seq));
    await device.acknowledged(2);
    const { status, text } = await harness.call("GET", "/metrics");
    expect(status).toBe(200);
    const labels = 'slot="counted",model="digit-reader",version="1.0.0"';
    const lines = text.split("\n").filter((line) => line.includes('slot="counted"'));
    expect(lines).toEqual([
      `fairlead_inference_requests_total{${labels}} 40`,
      `fairlead_inference_errors_total{${labels},kind="runtime"} 4`,
      `fairlead_inference_request_seconds_total{${labels}} 1`,
      `fairlead_inference_run_seconds_total{${labels}} 0.5`,
      `fairlead_inference_energy_joules_total{${labels},method="modelled"} 18`,
      `fairlead_inference_energy_inferences_total{${labels},method="modelled"} 36`,
      `fairlead_inference_joules_per_inference{${labels},method="modelled"} 0.5`,
    ]);
  });

  test("keeps poison as dead letters, acknowledges its place and goes on", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "poison"));
    await device.birth();
    await device.send("telemetry", createTelemetry(1));
    await device.send("telemetry", { ...createTelemetry(2), windows: "none" });
    await device.send("telemetry", "{not json");
    await device.send("telemetry", '{"v":1,"epoch":"epoch0001","seq":3,"windows":[1e999]}');
    await device.send("event", { v: 1 });
    await device.send("telemetry", createTelemetry(4));
    await device.acknowledged(4);
    const { telemetry } = await harness.plane.device("poison");
    expect(telemetry).toMatchObject({ storedUpTo: 4, deadLetters: 4 });
    expect(count(harness, "poison")).toBe(2);
  });

  test("counts a new epoch from its own first number", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "epochs"));
    await device.birth();
    await device.send("telemetry", createTelemetry(7));
    await device.acknowledged(7);
    await device.send("telemetry", createTelemetry(1, { epoch: "epoch0002" }));
    await device.acknowledged(1, "epoch0002");
    expect(count(harness, "epochs")).toBe(2);
  });

  test("places the telemetry of a device whose clock is a day off by its own clock", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "skewed"));
    const tomorrow = Date.now() + 86_400_000;
    await device.birth({ tsMs: tomorrow });
    await device.send("telemetry", createTelemetry(1, { tsMs: tomorrow }));
    await device.acknowledged(1);
    const detail = await harness.plane.device("skewed");
    expect(detail.clockSkewMs).toBeGreaterThan(86_000_000);
    const database = new Database(join(harness.dir, "data", "plane.db"), { readonly: true });
    const atMs = Number(database.prepare("SELECT atMs FROM host_windows WHERE device = 'skewed'").pluck().get());
    database.close();
    expect(Math.abs(atMs - Date.now())).toBeLessThan(60_000);
    const audit = await harness.plane.get<{ items: { action: string }[] }>("/api/v1/audit?subject=skewed");
    expect(audit.items.some((entry) => entry.action === "device.clock-skew")).toBe(true);
  });

  test("is not told by a late will that a device which came back is gone", async () => {
    const identity = await enrol(harness, "wills");
    await using device = await RawDevice.connect(harness, identity, 1);
    await device.birth({ session: 2 });
    await eventually("it is online", async () => (await harness.plane.device("wills")).online);
    await device.send("status", { v: 1, online: false, session: 1, tsMs: Date.now() });
    await device.send("telemetry", createTelemetry(1));
    await device.acknowledged(1);
    expect((await harness.plane.device("wills")).online).toBe(true);
    await device.send("status", { v: 1, online: false, session: 2, tsMs: Date.now() });
    await eventually("it is offline", async () => !(await harness.plane.device("wills")).online);
  });

  test("learns from the will that a device dropped", async () => {
    const device = await RawDevice.connect(harness, await enrol(harness, "drops"), 1);
    await device.birth();
    await eventually("it is online", async () => (await harness.plane.device("drops")).online);
    device.client.stream.destroy();
    await eventually("it is offline", async () => !(await harness.plane.device("drops")).online);
  });

  test("refuses a birth that names another device", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "liar"));
    await device.birth({ device: "one" });
    await eventually("it is counted", async () => (await harness.plane.device("liar")).telemetry.deadLetters === 1);
  });

  test("loses nothing that it acknowledged when it is killed", async () => {
    await using own = await startPlane();
    const identity = await enrol(own, "killed");
    let device = await RawDevice.connect(own, identity);
    await device.birth();
    let seq = 0;
    for (let round = 0; round < 3; round += 1) {
      const killAt = seq + 40;
      const sent = device;
      const sending = (async () => {
        for (; seq < killAt + 20;) {
          seq += 1;
          await sent.send("telemetry", createTelemetry(seq));
        }
      })().catch(() => undefined);
      await eventually("enough was acknowledged", () => toUpTo(sent) >= killAt);
      const closed = new Promise<void>((resolve) => sent.client.once("close", () => resolve()));
      await own.plane.process.kill("SIGKILL");
      await Promise.race([sending, closed]);
      const acknowledged = toUpTo(sent);
      await sent.client.endAsync(true);
      await own.plane.start();
      expect(count(own, "killed")).toBeGreaterThanOrEqual(acknowledged);
      device = await RawDevice.connect(own, identity, round + 2);
      await device.birth({ session: round + 2 });
      seq = acknowledged;
    }
    for (let last = seq + 1; last <= seq + 30; last += 1) await device.send("telemetry", createTelemetry(last));
    await device.acknowledged(seq + 30);
    expect(count(own, "killed")).toBe(seq + 30);
    expect((await own.plane.device("killed")).telemetry.gaps).toBe(0);
    const verification = await own.call("GET", "/api/v1/audit/verification");
    expect(verification.body).toMatchObject({ verified: true });
    await device.client.endAsync(true);
  });
});

function toUpTo(device: RawDevice): number {
  return Math.max(
    0,
    ...device.received.filter(({ topic }) => topic.endsWith("/ack")).map(({ body }) => Number(body["upTo"])),
  );
}
