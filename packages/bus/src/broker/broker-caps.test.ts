import { connect as connectTcp, type Socket } from "node:net";
import { toDeviceFilters, toTopic } from "@fairlead/protocol";
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from "mqtt";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { createTestAuthority, type TestAuthority, type TestIdentity } from "../testing/certificates.ts";
import { openLimitedBroker } from "../testing/limited-broker.ts";
import { waitFor } from "../testing/wait-for.ts";
import type { Broker, BrokerLimits } from "./broker-options.ts";
import { openConformanceBroker } from "./conformance-broker.ts";
import type { Refusal } from "./counters.ts";

let authority: TestAuthority;
let server: TestIdentity;
const ends: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  authority = await createTestAuthority();
  server = await authority.issueServer("127.0.0.1");
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function open(limits: Partial<BrokerLimits>) {
  const opened = await openLimitedBroker({ ...server, ca: authority.ca }, limits);
  ends.push(() => opened.broker.close());
  return opened;
}
/** The same broker where sessions are kept: that is the only place where there is something to bound. */
async function openKeeping(limits: Partial<BrokerLimits>) {
  const refusals: Refusal[] = [];
  const onRefusal = (refusal: Refusal) => void refusals.push(refusal);
  const broker = await openConformanceBroker({ host: "127.0.0.1", port: 0, limits, onRefusal });
  ends.push(() => broker.close());
  return { broker, refusals };
}

interface Connected {
  readonly client: MqttClient;
  readonly connack: IConnackPacket;
  readonly state: { closed: boolean };
  readonly heard: string[];
}
async function connect(broker: Broker, options: IClientOptions): Promise<Connected> {
  const where = { host: "127.0.0.1", port: broker.port, reconnectPeriod: 0 };
  const client = mqtt.connect({ ...where, ...options });
  const state = { closed: false };
  const heard: string[] = [];
  client.on("message", (_topic, payload) => void heard.push(payload.toString()));
  client.on("error", () => undefined).on("close", () => (state.closed = true));
  ends.push(() => client.endAsync(true));
  const connack = await new Promise<IConnackPacket>((resolve, reject) => {
    client.once("connect", resolve).once("error", reject);
    client.once("close", () => reject(new Error("closed before CONNACK")));
  });
  return { client, connack, state, heard };
}
const asDevice = async (device: string): Promise<IClientOptions> => ({
  ...{ protocol: "mqtts", ca: authority.ca, clientId: device },
  ...(await authority.issueDevice("acme", device)),
});
const kept = (clientId: string): IClientOptions => ({ clientId, clean: false });
/** A session that is kept, and its client gone. */
async function leave(broker: Broker, clientId: string, filter: string): Promise<void> {
  const { client } = await connect(broker, kept(clientId));
  await client.subscribeAsync(filter, { qos: 1 });
  await client.endAsync();
  await waitFor(() => !broker.isConnected(clientId), `${clientId} has left`);
}
function openSocket(
  broker: Broker,
  localAddress: string,
): { readonly socket: Socket; readonly state: { closed: boolean } } {
  const state = { closed: false };
  const socket = connectTcp({ host: "127.0.0.1", port: broker.port, localAddress }).resume();
  socket.on("error", () => undefined).on("close", () => (state.closed = true));
  ends.push(async () => socket.destroy());
  return { socket, state };
}

describe("sessions that are kept", () => {
  it("have so many bytes waiting for one of them, the oldest; what is beyond is counted and not sent", async () => {
    const { broker } = await openKeeping({ keptBytesPerClient: 10_000 });
    await leave(broker, "away", "q");
    const sender = await connect(broker, { clientId: "sender" });
    for (let index = 0; index < 40; index += 1)
      await sender.client.publishAsync("q", `${index}`.padEnd(1_000), { qos: 1 });
    await waitFor(() => broker.stats().droppedOffline > 30, "the queue was full");
    const { droppedOffline } = broker.stats();
    const { connack, heard } = await connect(broker, kept("away"));
    expect(connack.sessionPresent).toBe(true);
    await waitFor(() => heard.length === 40 - droppedOffline, "what was kept");
    expect(heard.map(Number)).toEqual(Array.from({ length: heard.length }, (_, index) => index));
    expect(heard.length * 1_000).toBeLessThan(10_000);
  });

  it("have so many bytes waiting for all of them together", async () => {
    const { broker } = await openKeeping({ keptBytesPerClient: 10_000, keptBytes: 15_000 });
    const names = ["a", "b", "c", "d"];
    for (const name of names) await leave(broker, name, "q");
    const sender = await connect(broker, { clientId: "sender" });
    for (let index = 0; index < 20; index += 1) await sender.client.publishAsync("q", "x".repeat(1_000), { qos: 1 });
    // Each message would be kept four times.
    await waitFor(() => broker.stats().droppedOffline > 60, "the queues were full");
    const shares = await Promise.all(names.map((name) => connect(broker, kept(name))));
    await waitFor(
      () => shares.reduce((all, { heard }) => all + heard.length, 0) === 80 - broker.stats().droppedOffline,
      "what was kept",
    );
    expect((80 - broker.stats().droppedOffline) * 1_000).toBeLessThan(15_000);
  });

  it("are so many: the next one is ended when it wants to be kept, and one that is not kept goes on", async () => {
    const { broker } = await openKeeping({ keptSessions: 2 });
    for (const name of ["a", "b"]) await leave(broker, name, "q");
    const third = await connect(broker, kept("c"));
    await expect(third.client.subscribeAsync("q", { qos: 1 })).rejects.toThrow(/./u);
    await waitFor(() => third.state.closed, "the third is ended");
    const passing = await connect(broker, { clientId: "d", clean: true });
    expect(await passing.client.subscribeAsync("q", { qos: 1 })).toMatchObject([{ qos: 1 }]);
    expect((await connect(broker, kept("a"))).connack.sessionPresent).toBe(true);
  });

  it("have so many filters each", async () => {
    const { broker } = await openKeeping({ keptFilters: 3 });
    const { client, state } = await connect(broker, kept("a"));
    await client.subscribeAsync(["1", "2", "3"], { qos: 1 });
    await expect(client.subscribeAsync("4", { qos: 1 })).rejects.toThrow(/./u);
    await waitFor(() => state.closed, "it is ended");
  });

  it("are none of a device: whoever asks for one is told that there is none, and nothing waits for it", async () => {
    const { broker } = await open({});
    const options = { ...(await asDevice("cam-1")), clean: false };
    const topic = toTopic({ kind: "down", tenant: "acme", device: "cam-1", channel: "ack" });
    const first = await connect(broker, options);
    expect(first.connack.sessionPresent).toBe(false);
    await first.client.subscribeAsync([...toDeviceFilters("acme", "cam-1")], { qos: 1 });
    await broker.publish(topic, Buffer.from("while it is there"));
    await waitFor(() => first.heard.length === 1, "it is served");
    first.client.end(true);
    await waitFor(() => !broker.isConnected("cam-1"), "it has left");
    for (let index = 0; index < 100; index += 1) await broker.publish(topic, Buffer.from("while it is away"));
    // What is kept in a queue that is full would be counted here; what is kept in one that is not would be sent below.
    expect(broker.stats().droppedOffline).toBe(0);
    const second = await connect(broker, options);
    expect(second.connack.sessionPresent).toBe(false);
    // Its filters are gone as well: before it subscribes again it hears nothing, and then only what is new.
    await broker.publish(topic, Buffer.from("before it subscribes"));
    await second.client.subscribeAsync([...toDeviceFilters("acme", "cam-1")], { qos: 1 });
    await broker.publish(topic, Buffer.from("after it"));
    await waitFor(() => second.heard.length > 0, "it is served again");
    expect(second.heard).toEqual(["after it"]);
  });
});

describe("connections", () => {
  it("A24 are so many strangers from one address and so many in all, until they are strangers no more", async () => {
    const { broker, refusals } = await openKeeping({ strangers: 3, strangersPerAddress: 2 });
    const early = ["127.0.0.1", "127.0.0.1", "127.0.0.2"].map((address) => openSocket(broker, address));
    await waitFor(() => broker.stats().connections === 3, "three are in");
    const late = ["127.0.0.1", "127.0.0.3"].map((address) => openSocket(broker, address));
    await waitFor(() => late.every(({ state }) => state.closed), "those beyond a share are ended");
    expect(refusals).toMatchObject(Array.from({ length: 2 }, () => ({ why: "too many connections" })));
    expect(early.some(({ state }) => state.closed)).toBe(false);
    early[0]?.socket.destroy();
    await waitFor(() => broker.stats().connections === 2, "one has left");
    // Whoever is admitted gives the place of a stranger back and keeps that of a connection.
    await connect(broker, { clientId: "known" });
    await connect(broker, { clientId: "known-2" });
    expect(broker.stats()).toMatchObject({ connections: 4, devices: 2 });
  });

  it("A24 are so many strangers behind TLS too", async () => {
    const { broker, refusals } = await open({ strangers: 2, strangersPerAddress: 1 });
    const sockets = ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3"].map((address) => openSocket(broker, address));
    await waitFor(() => sockets.filter(({ state }) => state.closed).length === 2, "two are ended");
    expect(refusals.map(({ why }) => why)).toEqual(["too many connections", "too many connections"]);
    expect(broker.stats().connections).toBe(2);
  });

  it("A24 are so many from one address and in all, admitted or not", async () => {
    const { broker } = await openKeeping({ connections: 3, connectionsPerAddress: 2 });
    await connect(broker, { clientId: "a" });
    await connect(broker, { clientId: "b" });
    const third = openSocket(broker, "127.0.0.1");
    await waitFor(() => third.state.closed, "the third of one address is ended");
    openSocket(broker, "127.0.0.2");
    await waitFor(() => broker.stats().connections === 3, "another address has a share");
    const fourth = openSocket(broker, "127.0.0.3");
    await waitFor(() => fourth.state.closed, "the fourth in all is ended");
    expect(broker.stats().refusedConnections).toBe(2);
  });

  it("must say that they live: no keep-alive, or a longer one than is admitted, is refused", async () => {
    const { broker } = await open({ keepaliveMaxS: 10 });
    const device = await asDevice("cam-1");
    for (const keepalive of [0, 11, 65_535])
      await expect(connect(broker, { ...device, keepalive }), String(keepalive)).rejects.toThrow(/./u);
    expect(broker.stats().devices).toBe(0);
    await connect(broker, { ...device, keepalive: 10 });
    expect(broker.stats().devices).toBe(1);
  });
});

describe("retained messages", () => {
  it("A31 hold so many bytes of all devices together, and whoever would pass that is ended and told of", async () => {
    const { broker, refusals } = await open({ retainedBytesPerClient: 10_000, retainedBytes: 12_000 });
    const birth = (device: string) => toTopic({ kind: "up", tenant: "acme", device, channel: "birth" });
    const retain = { qos: 1, retain: true } as const;
    const first = await connect(broker, await asDevice("cam-1"));
    await first.client.publishAsync(birth("cam-1"), Buffer.alloc(8_000), retain);
    const second = await connect(broker, await asDevice("cam-2"));
    second.client.publish(birth("cam-2"), Buffer.alloc(8_000), retain);
    await waitFor(() => second.state.closed, "the second is ended");
    expect(refusals).toMatchObject([
      { what: "publish", device: "cam-2", why: expect.stringContaining("12000 bytes") as string },
    ]);
    expect(broker.stats().retainedBytes).toBeLessThan(12_000);
    // There is room again when the first one needs less.
    await first.client.publishAsync(birth("cam-1"), Buffer.alloc(1_000), retain);
    const again = await connect(broker, await asDevice("cam-2"));
    await again.client.publishAsync(birth("cam-2"), Buffer.alloc(8_000), retain);
    expect(broker.stats().retainedBytes).toBeGreaterThan(9_000);
  });
});
