import { malformedConnects, malformedPackets, toConnect } from "../testing/malformed-packets.ts";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { toDeviceFilters, toTopic } from "@fairlead/protocol";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { createTestAuthority, type TestAuthority, type TestIdentity } from "../testing/certificates.ts";
import { waitFor } from "../testing/wait-for.ts";
import { openBroker } from "./open-broker.ts";
import type { Broker, BrokerOptions } from "./broker-options.ts";
import type { Refusal } from "./counters.ts";

describe("the embedded broker", () => {
  let authority: TestAuthority;
  let server: TestIdentity;
  let camera: TestIdentity;
  const ends: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    authority = await createTestAuthority();
    server = await authority.issueServer("127.0.0.1");
    camera = await authority.issueDevice("acme", "cam-1");
  });
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  async function open(extra: Partial<BrokerOptions> = {}): Promise<{ broker: Broker; seen: string[] }> {
    const seen: string[] = [];
    const broker = await openBroker({
      tls: { ...server, ca: authority.ca },
      host: "127.0.0.1",
      port: 0,
      tenant: "acme",
      authenticate: async () => true,
      onMessage: (topic, payload, identity) =>
        void seen.push(`${identity.device} ${topic} ${Buffer.from(payload).toString()}`),
      ...extra,
    });
    ends.push(() => broker.close());
    return { broker, seen };
  }

  function toOptions(broker: Broker, identity: TestIdentity | undefined): IClientOptions {
    return {
      host: "127.0.0.1",
      port: broker.port,
      protocol: "mqtts",
      ca: authority.ca,
      protocolVersion: 4,
      ...identity,
    };
  }
  async function connect(
    broker: Broker,
    options: IClientOptions & { identity?: TestIdentity } = {},
  ): Promise<MqttClient> {
    const { identity = camera, ...rest } = options;
    const client = mqtt.connect({ ...toOptions(broker, identity), clientId: "cam-1", reconnectPeriod: 0, ...rest });
    ends.push(() => client.endAsync(true));
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
      client.once("close", () => reject(new Error("closed before CONNACK")));
    });
    return client;
  }
  const isClosed = (client: MqttClient) => {
    const state = { closed: false };
    client.on("close", () => (state.closed = true));
    client.on("error", () => undefined);
    return state;
  };
  const up = (channel: "telemetry" | "status" | "event", device = "cam-1") =>
    toTopic({ kind: "up", tenant: "acme", device, channel });

  async function openRaw(broker: Broker): Promise<{ socket: TLSSocket; state: { closed: boolean } }> {
    const socket = connectTls({ host: "127.0.0.1", port: broker.port, ca: authority.ca, ...camera });
    const state = { closed: false };
    socket.on("close", () => (state.closed = true));
    socket.on("error", () => undefined);
    ends.push(async () => socket.destroy());
    await new Promise<void>((resolve) => void socket.once("secureConnect", () => resolve()));
    socket.resume();
    return { socket, state };
  }

  it("ends a session when the time of its certificate is over, whatever the device says of itself", async () => {
    const { broker } = await open();
    const state = isClosed(await connect(broker));
    expect(broker.disconnectExpired(Date.now())).toEqual([]);
    expect(state.closed).toBe(false);
    expect(broker.disconnectExpired(Date.now() + 2 * 86_400_000)).toEqual(["cam-1"]);
    await waitFor(() => state.closed, "the session is over");
    expect(broker.stats().devices).toBe(0);
  });

  it("ends a session whose certificate was revoked after CONNECT was judged and before the session began", async () => {
    const refusals: Refusal[] = [];
    let revoked = false;
    const { broker } = await open({
      // Judged, and revoked at the same moment: the session to end is in no list yet.
      authenticate: async () => (revoked = true),
      isStillInForce: async () => !revoked,
      onRefusal: (refusal) => void refusals.push(refusal),
    });
    const state = isClosed(mqtt.connect({ ...toOptions(broker, camera), clientId: "cam-1", reconnectPeriod: 0 }));
    await waitFor(() => state.closed, "the session is over");
    expect(refusals.map(({ why }) => why)).toContain("the certificate is not in force any more");
    expect(broker.isConnected("cam-1")).toBe(false);
  });

  it("knows the device by its certificate and hands its messages on", async () => {
    const { broker, seen } = await open();
    const client = await connect(broker);
    await client.publishAsync(up("telemetry"), "hello", { qos: 1 });
    await waitFor(() => seen.length === 1, "the message");
    expect(seen).toEqual([`cam-1 ${up("telemetry")} hello`]);
    expect(broker.isConnected("cam-1")).toBe(true);
    expect(broker.stats()).toMatchObject({ devices: 1, received: 1, refusedPublishes: 0 });
  });

  it("refuses foreign topics, what is reserved, what must not be retained and QoS 2, and ends that connection", async () => {
    const { broker, seen } = await open();
    const cases: [string, object][] = [
      [up("telemetry", "cam-2"), {}],
      [toTopic({ kind: "down", tenant: "acme", device: "cam-1", channel: "desired" }), {}],
      [toTopic({ kind: "host", tenant: "acme" }), {}],
      ["$SYS/x", {}],
      ["$share/g/x", {}],
      ["__proto__", {}],
      [`${up("telemetry")}/deeper`, {}],
      [up("telemetry"), { retain: true }],
      [up("telemetry"), { qos: 2 }],
    ];
    for (const [topic, options] of cases) {
      const client = await connect(broker);
      const state = isClosed(client);
      client.publish(topic, "x", { qos: 1, ...options });
      await waitFor(() => state.closed, `refused: ${topic}`);
    }
    expect(seen).toEqual([]);
    expect(broker.stats().refusedPublishes).toBe(cases.length);
  });

  it("refuses a will on a foreign topic and admits one on the own status", async () => {
    const { broker, seen } = await open();
    const will = (topic: string) => ({ will: { topic, payload: Buffer.from("gone"), qos: 1 as const, retain: true } });
    await expect(connect(broker, will(up("status", "cam-2")))).rejects.toThrow(/not authorized/iu);
    await expect(connect(broker, will(up("telemetry")))).rejects.toThrow(/not authorized/iu);
    await connect(broker, will(up("status")));
    broker.disconnectDevice("cam-1");
    await waitFor(() => seen.length === 1, "the will");
    expect(seen[0]).toBe(`cam-1 ${up("status")} gone`);
  });

  it("refuses every subscription but the device's own", async () => {
    const { broker } = await open();
    const client = await connect(broker);
    const foreign = ["#", "+/+/#", "$SYS/#", `$share/g/${up("event")}`, up("event"), "fairlead/v1/acme/+/down/desired"];
    for (const filter of [...foreign, ...toDeviceFilters("acme", "cam-2").slice(0, 4)]) {
      await expect(client.subscribeAsync(filter, { qos: 1 }), filter).rejects.toThrow(/subscri|unspecified|error/iu);
    }
    const granted = await client.subscribeAsync([...toDeviceFilters("acme", "cam-1")], { qos: 1 });
    expect(granted.every((grant) => grant.qos === 1)).toBe(true);
  });

  it("refuses another authority, no certificate, another tenant, doubtful subjects and a foreign client id", async () => {
    const { broker } = await open();
    const other = await createTestAuthority("Other Authority");
    const identities = [
      await other.issueDevice("acme", "cam-1"),
      await authority.issueDevice("globex", "cam-1"),
      await authority.issueSubject("O=acme, CN=cam-1, CN=cam-2"),
      await authority.issueSubject("O=acme, CN=Cam_1/#"),
      await authority.issueSubject("CN=cam-1"),
    ];
    for (const identity of identities) await expect(connect(broker, { identity })).rejects.toThrow(/./u);
    await expect(connect(broker, { identity: {} as TestIdentity })).rejects.toThrow(/./u);
    for (const clientId of ["cam-2", "__proto__", "constructor", "", "a/b/#"]) {
      await expect(connect(broker, { clientId }), clientId).rejects.toThrow(/./u);
    }
    expect(broker.stats().devices).toBe(0);
    await connect(broker);
  });

  it("asks whether the certificate is in force and closes when the answer is no or fails", async () => {
    const answers = [async () => false, async () => Promise.reject(new Error("store is down"))];
    for (const authenticate of answers) {
      const { broker } = await open({ authenticate });
      await expect(connect(broker)).rejects.toThrow(/not authorized/iu);
    }
  });

  it("lets the same device take its own session over", async () => {
    const { broker } = await open();
    const first = await connect(broker);
    const state = isClosed(first);
    await connect(broker);
    await waitFor(() => state.closed, "the first connection ends");
    expect(broker.isConnected("cam-1")).toBe(true);
    expect(broker.stats().devices).toBe(1);
  });

  it("closes only the connection that sends malformed or oversized packets", async () => {
    const { broker, seen } = await open();
    const neighbour = await authority.issueDevice("acme", "cam-2");
    const good = await connect(broker, { identity: neighbour, clientId: "cam-2" });
    const bad = [
      [0x10, 0xff, 0xff, 0xff, 0x7f],
      [0x10, 0x80, 0x80, 0x80, 0x80, 0x01],
      [0x30, 0x03, 0x00, 0x01, 0x61],
      [0x10, 0x04, 0x00, 0x00, 0x00, 0x00],
      [0xc0, 0x00],
      [0x16, 0x03, 0x01],
    ];
    for (const bytes of bad) {
      const { socket, state } = await openRaw(broker);
      socket.write(Buffer.from(bytes));
      await waitFor(() => state.closed, `closed after ${bytes.join(" ")}`);
    }
    const client = await connect(broker);
    const state = isClosed(client);
    // A PUBLISH that declares 2 MB on an admitted connection.
    client.stream.write(Buffer.from([0x32, 0x80, 0x80, 0x80, 0x01, 0x00]));
    await waitFor(() => state.closed, "the oversized publish is closed");
    await good.publishAsync(up("telemetry", "cam-2"), "still here", { qos: 1 });
    await waitFor(() => seen.length === 1, "the neighbour's message");
  });

  it("A34 closes an admitted connection for every kind of malformed packet, and no other", async () => {
    const { broker, seen } = await open();
    const neighbour = await authority.issueDevice("acme", "cam-2");
    const good = await connect(broker, { identity: neighbour, clientId: "cam-2" });
    const closesOf = isClosed(good);
    for (const [what, bytes] of malformedPackets) {
      const { socket, state } = await openRaw(broker);
      const admitted = new Promise<void>((resolve) => void socket.once("data", () => resolve()));
      socket.write(toConnect());
      await admitted;
      socket.write(bytes);
      await waitFor(() => state.closed, `closed after ${what}`);
    }
    expect(malformedPackets.length).toBeGreaterThan(90);
    expect(seen).toEqual([]);
    expect(closesOf.closed).toBe(false);
    await good.publishAsync(up("telemetry", "cam-2"), "still here", { qos: 1 });
    await waitFor(() => seen.length === 1, "the neighbour's message");
  });

  it("A25 closes a connection whose CONNECT is malformed, and admits no other version than 3.1.1", async () => {
    const { broker } = await open();
    for (const [what, bytes] of malformedConnects) {
      const { socket, state } = await openRaw(broker);
      socket.write(bytes);
      await waitFor(() => state.closed, `closed after ${what}`);
    }
    const older = { protocolId: "MQIsdp", protocolVersion: 3 } as const;
    for (const version of [older, { protocolVersion: 5 } as const])
      await expect(connect(broker, version)).rejects.toThrow(/./u);
    expect(broker.stats().devices).toBe(0);
    await connect(broker);
  });

  it("closes a connection that sends no CONNECT in time, and those beyond an address's share", async () => {
    const { broker } = await open({ limits: { connectTimeoutMs: 100, connectionsPerAddress: 2 } });
    const silent = [await openRaw(broker), await openRaw(broker)];
    const third = connectTls({ host: "127.0.0.1", port: broker.port, ca: authority.ca, ...camera });
    ends.push(async () => third.destroy());
    await new Promise<void>((resolve) => {
      third.on("error", () => undefined);
      third.on("close", () => resolve());
    });
    await waitFor(() => silent.every(({ state }) => state.closed), "the silent ones are closed");
    await waitFor(() => broker.stats().connections === 0, "their places are free");
    await connect(broker);
  });

  it("says that the port is taken and what to do", async () => {
    const { broker } = await open();
    await expect(open({ port: broker.port })).rejects.toMatchObject({
      code: "port_taken",
      hint: expect.stringContaining("--mqtt-port"),
    });
  });
});
