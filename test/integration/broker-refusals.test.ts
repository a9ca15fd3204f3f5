import { toLength, toText } from "@fairlead/bus/testing/malformed-packets";
import type { AuditEntry } from "@fairlead/protocol";
import { toTopic } from "@fairlead/protocol";
import { connectAsync } from "mqtt";
import { readFileSync } from "node:fs";
import { join } from "node:path";
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

  it("A26 A27 A28 lets a device write, leave behind and hear nothing that is another's or the broker's own", async () => {
    const [identity, victim] = [await enrol(harness, "mallory"), await enrol(harness, "alice")];
    await using alice = await RawDevice.connect(harness, victim);
    await alice.birth();
    const { tenant } = harness.plane;
    const forged = JSON.stringify({ forged: true });
    const up = (channel: "status" | "birth" | "telemetry", device = "alice") =>
      toTopic({ kind: "up", tenant, device, channel });
    const down = toTopic({ kind: "down", tenant, device: "alice", channel: "desired" });
    const writes = [
      ...[up("telemetry"), up("status"), down, toTopic({ kind: "host", tenant }), "$SYS/x", "$share/g/x"].flatMap(
        (topic) => [
          { topic, retain: false },
          { topic, retain: true },
        ],
      ),
      // Its own, but nothing that may stay when it is gone.
      { topic: up("telemetry", "mallory"), retain: true },
    ];
    for (const { topic, retain } of writes) {
      await using device = await RawDevice.connect(harness, identity);
      const ended = new Promise<void>((resolve) => device.client.once("close", () => resolve()));
      device.client.on("error", () => undefined).publish(topic, forged, { qos: 1, retain });
      await ended;
    }
    const wills = [up("status"), down, "$SYS/x", up("telemetry", "mallory")];
    for (const topic of wills) {
      const { key, cert } = identity;
      const will = { topic, payload: Buffer.from(forged), qos: 1 as const, retain: true };
      const options = { ca: harness.ca, key, cert, clientId: "mallory", reconnectPeriod: 0, will };
      await expect(connectAsync(harness.plane.mqttUrl, options, false), topic).rejects.toThrow(/authorized/iu);
    }
    await using device = await RawDevice.connect(harness, identity);
    const filters = ["#", "+/+/#", "$SYS/#", "$share/g/#", down, down.replace("alice", "+"), up("status")];
    for (const filter of filters) await expect(device.client.subscribeAsync(filter), filter).rejects.toThrow(/./u);
    // What the plane says to her stays hers, and nothing that was forged lies anywhere.
    await using again = await RawDevice.connect(harness, victim, 2);
    await again.birth({ session: 2 });
    expect([...alice.received, ...again.received, ...device.received].filter(({ body }) => "forged" in body)).toEqual(
      [],
    );
    await eventually("she is online", async () => (await harness.plane.device("alice")).online);
    expect((await harness.plane.device("alice")).telemetry.deadLetters).toBe(0);
    expect(device.received.filter(({ topic }) => topic.includes("alice"))).toEqual([]);
    const told = (await refusals()).filter(({ actor }) => actor === "device:mallory").length;
    expect(told).toBe(writes.length + wills.length + filters.length);
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

  it("A56 ends a connection that has line ends in a name, and keeps them inside the text where text is free", async () => {
    const evil = "a\r\nforged: owned=1\r\n\r\n<html>";
    const identity = await enrol(harness, "lines");
    const { mqttUrl, device: name } = identity.answer;
    const credentials = { ca: harness.ca, key: identity.key, cert: identity.cert };
    const toPacket = (header: number, ...body: readonly Uint8Array[]): Buffer => {
      const bytes = Buffer.concat(body);
      return Buffer.concat([Buffer.from([header, ...toLength(bytes.length)]), bytes]);
    };
    const toConnect = (flags: number, ...rest: readonly Uint8Array[]) =>
      toPacket(0x10, toText("MQTT"), Buffer.from([4, flags, 0, 60]), ...rest);
    const good = toConnect(2, toText(name));
    const id = Buffer.from([0, 7]);
    const packets: readonly (readonly [string, Buffer])[] = [
      ["client identifier", toConnect(2, toText(evil))],
      ["user name", toConnect(0x82, toText(name), toText(evil))],
      ["topic of a will", toConnect(0x06, toText(name), toText(evil), toText("gone"))],
      ["topic", Buffer.concat([good, toPacket(0x30, toText(evil))])],
      ["filter", Buffer.concat([good, toPacket(0x82, id, toText(evil), Buffer.from([0]))])],
    ];
    for (const [what, bytes] of packets) {
      const socket = connectTls({ host: "127.0.0.1", port: Number(new URL(mqttUrl).port), ...credentials })
        .on("error", () => undefined)
        .resume();
      socket.write(bytes);
      await eventually(`${what}: the connection is ended`, () => socket.closed);
    }
    // User properties are of MQTT 5, which is refused as a whole.
    const properties = { userProperties: { [evil]: evil } };
    const session = { ...credentials, clientId: name, protocolVersion: 5, properties, reconnectPeriod: 0 } as const;
    await expect(connectAsync(mqttUrl, { ...session, connectTimeout: 5_000 })).rejects.toThrow(/./u);

    await using device = await RawDevice.connect(harness, identity);
    await device.birth({ agentVersion: "1.0\r\nforged: 2", inventory: { [evil]: evil } });
    await device.send("reported", evil);
    await device.send("event", { v: 1, code: evil });
    await device.birth();
    await eventually("the device is there", async () => (await harness.plane.device(name)).online);
    const answer = await harness.call<{ items: AuditEntry[] }>("GET", "/api/v1/audit?limit=200");
    expect(answer.headers["forged"]).toBeUndefined();
    // What a packet said of itself is not repeated to whoever reads the record.
    expect(JSON.stringify(answer.body.items)).not.toContain("owned");
    const log = readFileSync(join(harness.dir, "plane.log"), "utf8");
    expect(log).not.toMatch(/^\s*(?:forged|<html>)/mu);
    for (const line of log.split("\n").filter((text) => text.startsWith("{")))
      expect(() => JSON.parse(line) as unknown).not.toThrow();
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
