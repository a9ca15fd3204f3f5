import type { AuditEntry, EventData } from "@fairlead/protocol";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { callPlane } from "../support/call-plane.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { createRequest, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await startPlane();
});
afterAll(() => harness[Symbol.asyncDispose]());

const read = async (): Promise<AuditEntry[]> =>
  (await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=1000")).items;
const find = (what: string, isIt: (entry: AuditEntry) => boolean): Promise<AuditEntry> =>
  eventually(what, async () => (await read()).find(isIt));
const loopback = { from: expect.stringMatching(/127\.0\.0\.1$|^::1$/u) as string };

function toEvent(seq: number, data: EventData) {
  const time = new Date().toISOString();
  const type = `io.fairlead.device.${data.kind}.v1`;
  const head = {
    specversion: "1.0",
    id: `event-${seq}`,
    source: "cam-1",
    type,
    time,
    datacontenttype: "application/json",
  };
  return { v: 1, epoch: "epoch0001", seq, tsMs: Date.now(), uptimeMs: 1_000, event: { ...head, data } };
}

describe("the audit log of a plane", () => {
  it("begins with the administrator's token that its start made", async () => {
    expect((await read()).at(-1)).toMatchObject({
      ...{ index: 0, actor: "plane:start", action: "token.create", reason: "there was none" },
      details: { before: null, after: { role: "admin", selector: null }, from: "plane" },
    });
  });

  it("tells of messages that the plane refused, and of what a device says that it refused", async () => {
    const identity = await enrol(harness, "cam-1");
    await using device = await RawDevice.connect(harness, identity);
    await device.birth();
    await device.send("telemetry", "{ not json");
    const dead = await find("the message", ({ action }) => action === "message.refuse");
    expect(dead).toMatchObject({
      ...{ actor: "device:cam-1", subject: expect.stringMatching(/cam-1.*telemetry/u) as string },
      ...{ reason: "payload_not_json", details: { ...loopback, sizeBytes: 10 } },
    });
    const told: readonly (readonly [EventData, string])[] = [
      [{ kind: "refused", what: "release", code: "release_not_vouched", reason: "revoked" }, "device.refuse-release"],
      [{ kind: "freshness", state: "stale", untilMs: 1, reason: "nobody says so" }, "device.freshness-stale"],
    ];
    for (const [index, [event, action]] of told.entries()) {
      await device.send("event", toEvent(index + 1, event));
      const entry = await find(action, (one) => one.action === action);
      expect(entry).toMatchObject({ actor: "device:cam-1", subject: "cam-1", details: loopback });
    }
  });

  it("A58 bounds what a device can write into it by being refused, and says how much it left out", async () => {
    await using device = await RawDevice.connect(harness, await enrol(harness, "cam-2"));
    await device.birth();
    const isIts = ({ action, actor }: AuditEntry) => action === "message.refuse" && actor === "device:cam-2";
    for (let count = 0; count < 300; count += 1) await device.send("telemetry", "x");
    await eventually("all are refused", async () => (await harness.plane.device("cam-2")).telemetry.deadLetters >= 300);
    const count = (await read()).filter(isIts).length;
    expect(count).toBeGreaterThanOrEqual(60);
    expect(count).toBeLessThan(150);
    await harness.plane.process.kill("SIGTERM");
    await harness.plane.start();
    const condensed = (await read()).filter(({ action }) => action === "refusals.condense");
    const left = condensed.reduce((sum, { details }) => sum + Number(details["count"]), 0);
    expect(left).toBe(300 - count);
    expect(condensed[0]).toMatchObject({
      actor: "plane:audit",
      details: { byReason: { payload_not_json: expect.any(Number) as number } },
    });
  }, 60_000);

  it("tells of the first use of a renewed certificate: which one it replaced, and from where", async () => {
    const identity = await enrol(harness, "cam-3");
    const { key, csr } = await createRequest();
    const call = { method: "POST", path: "/api/v1/device/certificate", json: { csr }, identity };
    const renewed = await callPlane(harness.plane, call);
    const own = { key, cert: String(renewed.body["certificate"]) };
    await callPlane(harness.plane, {
      method: "GET",
      path: "/api/v1/device/certificate",
      identity: own,
      from: "127.0.0.9",
    });
    const isIts = ({ action, subject }: AuditEntry) => action === "device.renew-certificate" && subject === "cam-3";
    const { details } = await find("the replacement", isIts);
    expect(details).toMatchObject({
      before: { serial: expect.any(String) as string },
      after: { serial: expect.any(String) as string },
    });
    expect(details["from"]).toMatch(/127\.0\.0\.9$/u);
    expect(details["after"]).not.toEqual(details["before"]);
  });

  it("A58 tells that an address was locked out, although its share of entries is used up", async () => {
    const wrong = {
      method: "GET",
      path: "/api/v1/devices",
      token: `${harness.plane.token.slice(0, -1)}x`,
      from: "127.0.0.8",
    };
    for (let count = 0; count < 70; count += 1) await callPlane(harness.plane, wrong);
    const entries = (await read()).filter(({ details }) => String(details["from"]).endsWith("127.0.0.8"));
    expect(entries.filter(({ action }) => action === "address.lock-out")).toMatchObject([
      { actor: "anonymous", reason: "rate_limited", subject: "GET /api/v1/devices" },
    ]);
  });

  it("is intact after all of it", async () => {
    expect(await runCli(["audit", "verify"], harness.plane.cliEnv)).toMatchObject({ code: 0 });
  });
});
