import type { AuditEntry } from "@fairlead/protocol";
import { toTopic } from "@fairlead/protocol";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { createRequest, enrol, RawDevice, startPlane, type Harness } from "./plane-harness.ts";

describe("what the plane's broker refuses", () => {
  let harness: Harness;
  beforeAll(async () => {
    harness = await startPlane();
  });
  afterAll(() => harness[Symbol.asyncDispose]());
  const refusals = async (): Promise<AuditEntry[]> => {
    const { items } = await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=200");
    return items.filter((entry) => entry.action === "broker.refuse");
  };

  it("A26 A27 leaves an audit entry: who, what, why, from where", async () => {
    const identity = await enrol(harness, "curious");
    await using device = await RawDevice.connect(harness, identity);
    await expect(device.client.subscribeAsync("#")).rejects.toThrow(/./u);
    const topic = toTopic({ kind: "up", tenant: harness.plane.tenant, device: "other", channel: "telemetry" });
    device.client.on("error", () => undefined).publish(topic, "x");
    const [publication] = await eventually("both entries", async () => {
      const entries = await refusals();
      return entries.length >= 2 && entries;
    });
    expect(publication).toMatchObject({
      actor: "device:curious",
      subject: `publish ${topic}`,
      reason: "the topic is not the device's own",
      details: { from: expect.stringContaining("127.0.0.1") },
    });
  });

  it("A58 bounds the entries of one address, through both doors together", async () => {
    const port = Number(new URL(harness.plane.mqttUrl).port);
    for (let count = 0; count < 100; count += 1) {
      const socket = connectTls({ host: "127.0.0.1", port, ca: harness.ca })
        .on("error", () => undefined)
        .resume();
      await new Promise((resolve) => void socket.once("close", resolve));
    }
    for (let count = 0; count < 5; count += 1) await harness.call("GET", "/api/v1/devices", { token: "wrong" });
    const { items } = await harness.plane.get<{ items: AuditEntry[] }>("/api/v1/audit?limit=1000");
    const refused = items.filter((entry) => entry.action.endsWith(".refuse"));
    expect(refused.some((entry) => entry.actor === "anonymous" && entry.reason.startsWith("TLS"))).toBe(true);
    // 60 at once, and what a minute gives while the test runs.
    expect(refused.length).toBeLessThan(90);
  });

  it("A29 enrols no device whose name would be more than one level of a topic", async () => {
    const { csr } = await createRequest();
    const token = await harness.createToken();
    for (const device of ["x/#", "+", "#", "a/../b", "$SYS", "a\0b", "", "__proto__", "A".repeat(65)]) {
      const json = { token, device, csr, profile: "generic-x86", labels: {} };
      expect((await harness.call("POST", "/api/v1/enrol", { token: null, json })).status, device).toBe(422);
    }
    for (const device of ["x/#", "+", "a/../b"])
      expect(() => toTopic({ kind: "up", tenant: "acme", device, channel: "birth" })).toThrow(/cannot be part/u);
  });
});
