import { createTestAuthority, type TestAuthority, type TestIdentity } from "@fairlead/bus/testing/certificates";
import { toTopic } from "@fairlead/protocol";
import { toConnect, toText } from "@fairlead/bus/testing/malformed-packets";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { connectAsync, type MqttClient } from "mqtt";
import { beforeAll, describe, expect, it } from "vitest";
import { BrokerProcess, type BrokerSetup } from "../support/broker-process.ts";
import { eventually } from "../support/eventually.ts";
import { hostileKinds, pour, pouring, promising } from "../support/hostile-clients.ts";
import { measureHostile, measureSlowReader } from "../support/hostile-memory.ts";

const count = 200;
const boundBytes = 65_536;
const eightAddresses = Array.from({ length: 8 }, (_, index) => `127.0.0.${index + 1}`);

describe("the memory of the broker's process", () => {
  let tls: BrokerSetup["tls"];
  let camera: TestIdentity;
  let authority: TestAuthority;
  beforeAll(async () => {
    authority = await createTestAuthority();
    tls = { ...(await authority.issueServer("127.0.0.1")), ca: authority.ca };
    camera = await authority.issueDevice("acme", "cam-1");
  });
  const start = (kind: BrokerSetup["kind"], limits: BrokerSetup["limits"] = {}) =>
    new BrokerProcess().start({ kind, tls, tenant: "acme", limits });
  const toCredentials = () => ({ ca: tls.ca, device: camera });

  it.each(hostileKinds.map((kind) => [kind.name, kind] as const))(
    "A24 grows by at most 64 kB for each of 200 strangers from one address: %s",
    async (_name, kind) => {
      await using broker = await start("product");
      const bytes = await measureHostile(broker, { kind, credentials: toCredentials(), count });
      expect(bytes).toBeLessThanOrEqual(boundBytes);
    },
  );

  it.each([
    ["from one address", promising, ["127.0.0.1"]],
    ["from eight addresses", promising, eightAddresses],
    ["that pour 32 MB each, from one address", pouring, ["127.0.0.1"]],
  ] as const)("A24 grows by at most 64 kB for each of 1,000 strangers with TLS %s", async (_what, kind, addresses) => {
    await using broker = await start("product");
    const crowd = { kind, credentials: toCredentials(), count: 1_000, addresses };
    const bytes = await measureHostile(broker, crowd);
    expect(bytes).toBeLessThanOrEqual(boundBytes);
    expect(bytes).toBeGreaterThan(0);
    // Whoever has something to say is served afterwards.
    const session = { protocol: "mqtts", host: "127.0.0.1", clientId: "cam-1", reconnectPeriod: 0 } as const;
    const client = await connectAsync({ ...session, port: broker.port, ca: tls.ca, ...camera });
    await client.endAsync(true);
  });

  // Each of them has its place here; there are 256 such places in all by default, so together they hold 28 MiB at most.
  // Most of it is what OpenSSL keeps of a handshake: 50 to 67 kB were read, and 92 to 96 kB where a certificate chain
  // announces 75 kB, for which OpenSSL makes room at once. Nothing that Node.js offers lets it make less.
  it.each([
    [80, "a ClientHello, then silence"],
    [80, "a CONNECT of 4 kB without its end"],
    [112, "a certificate chain that announces 75 kB"],
  ] as const)("A24 gives no single stranger more than %i kB, whatever the others hold: %s", async (kB, name) => {
    await using broker = await start("product", { handshakes: 1_000, handshakesPerAddress: 1_000 });
    const kind = hostileKinds.find((known) => known.name === name);
    if (kind === undefined) throw new Error(`no kind is called ${name}`);
    const bytes = await measureHostile(broker, { kind, credentials: toCredentials(), count });
    expect(bytes).toBeLessThanOrEqual(kB * 1_024);
  });

  function openSocket(port: number, begin: (socket: Socket) => void): Socket {
    const socket = connectTcp(port, "127.0.0.1", () => begin(socket));
    return socket.on("error", () => undefined).resume();
  }
  const promise = Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]);
  const unfinished = Buffer.concat([Buffer.from([0x10, 0xfa, 0x1f, 0, 4]), Buffer.from("MQTT"), Buffer.alloc(4_000)]);
  const plain: readonly (readonly [string, (socket: Socket) => void])[] = [
    ["silence", () => undefined],
    ["a promise of 256 MB, then silence", (socket) => void socket.write(promise)],
    ["a promise of 256 MB, then 32 MB", (socket) => (socket.write(promise), pour(socket, 32 * 1_048_576))],
    ["a CONNECT that stays unfinished", (socket) => void socket.write(unfinished)],
  ];

  it.each(plain)(
    "A24 grows by at most 64 kB for each of 1,000 strangers without TLS in front of them: %s",
    async (_what, begin) => {
      await using broker = await start("conformance");
      const before = await broker.settledBytes();
      broker.resetPeak();
      const open = Array.from({ length: 1_000 }, () => openSocket(broker.port, begin));
      await eventually("all were heard", async () => {
        const { connections, refusedConnections, protocolErrors } = await broker.stats();
        return (
          connections + refusedConnections + protocolErrors >= open.length && open.every((socket) => !socket.connecting)
        );
      });
      const peak = broker.peakBytes;
      for (const socket of open) socket.destroy();
      expect((peak - before) / open.length).toBeLessThanOrEqual(boundBytes);
    },
  );

  it("A32 stays bounded while a device reads nothing of 64 MB, which ends the device", async () => {
    await using broker = await start("product");
    const topic = toTopic({ kind: "down", tenant: "acme", device: "cam-1", channel: "ack" });
    const publish = () => broker.publish(topic, { payloadBytes: 65_536, count: 1_000, qos: 0 });
    const bytes = await measureSlowReader(broker, { credentials: toCredentials(), topic, publish });
    expect(await broker.stats()).toMatchObject({ slowReaders: 1, outboundBytes: 0 });
    expect(bytes).toBeLessThan(48 * 1_048_576);
  });

  const toDown = (device: string) => toTopic({ kind: "down", tenant: "acme", device, channel: "ack" });
  async function listen(broker: BrokerProcess, device: string): Promise<MqttClient> {
    const session = { protocol: "mqtts", host: "127.0.0.1", clientId: device, reconnectPeriod: 0 } as const;
    const identity = await authority.issueDevice("acme", device);
    const client = await connectAsync({ ...session, port: broker.port, ca: tls.ca, ...identity });
    await client.on("error", () => undefined).subscribeAsync(toDown(device));
    return client;
  }

  it("A32 ends the device that reads nothing, not the good one to which is written when the room ends", async () => {
    const inAllBytes = 1_048_576;
    await using broker = await start("product", { outboundBytes: 4 * inAllBytes, outboundBytesInAll: inAllBytes });
    const [slow, good] = [await listen(broker, "slow"), await listen(broker, "good")];
    let heard = 0;
    good.on("message", () => (heard += 1));
    slow.stream.pause();
    // The kernel's buffers take the first ones.
    for (let sent = 0; (await broker.stats()).outboundBytes < inAllBytes - 65_536 && sent < 1_000; sent += 1)
      await broker.publish(toDown("slow"), { payloadBytes: 32_768, count: 1, qos: 0 });
    expect(await broker.stats()).toMatchObject({ slowReaders: 0, devices: 2 });
    await broker.publish(toDown("good"), { payloadBytes: 200_000, count: 1, qos: 0 });
    await eventually("the good one has heard it", () => heard === 1);
    expect(await broker.stats()).toMatchObject({ slowReaders: 1, devices: 1 });
    for (const client of [slow, good]) await client.endAsync(true);
  });

  it("A32 stays bounded while eight devices read nothing, however much each of them might leave unread, and serves the ninth", async () => {
    const inAllBytes = 8 * 1_048_576;
    await using broker = await start("product", { outboundBytes: 8 * inAllBytes, outboundBytesInAll: inAllBytes });
    const names = Array.from({ length: 9 }, (_, index) => `slow-${index + 1}`);
    const clients = await Promise.all(names.map((device) => listen(broker, device)));
    let heard = 0;
    clients[8]?.on("message", () => (heard += 1));
    for (const client of clients.slice(0, 8)) client.stream.pause();
    const before = await broker.settledBytes();
    broker.resetPeak();
    let mostBytes = 0;
    const rounds = 60;
    for (let round = 0; round < rounds; round += 1) {
      for (const device of names) await broker.publish(toDown(device), { payloadBytes: 131_072, count: 1, qos: 0 });
      mostBytes = Math.max(mostBytes, (await broker.stats()).outboundBytes);
    }
    const grownBytes = broker.peakBytes - before;
    await eventually("the ninth has heard everything", () => heard === rounds);
    const { slowReaders, devices } = await broker.stats();
    expect(mostBytes).toBeGreaterThan(inAllBytes / 2);
    expect(mostBytes).toBeLessThanOrEqual(inAllBytes);
    expect(grownBytes).toBeLessThan(48 * 1_048_576);
    expect(slowReaders).toBeGreaterThan(0);
    expect(slowReaders + devices).toBe(names.length);
    for (const client of clients) await client.endAsync(true);
  });

  it("A30 keeps nothing for a device that acknowledges none of 65,535 messages", async () => {
    await using broker = await start("product");
    const topic = toTopic({ kind: "down", tenant: "acme", device: "cam-1", channel: "ack" });
    const socket = connectTls({ host: "127.0.0.1", port: broker.port, ca: tls.ca, ...camera }).on(
      "error",
      () => undefined,
    );
    let heardBytes = 0;
    socket.on("data", (chunk: Buffer) => (heardBytes += chunk.length));
    const filter = Buffer.concat([Buffer.from([0, 7]), toText(topic), Buffer.from([1])]);
    socket.write(Buffer.concat([toConnect(), Buffer.from([0x82, filter.length]), filter]));
    await eventually("CONNACK and SUBACK", () => heardBytes === 4 + 5);
    const messages = 65_535;
    // As many before, so that what the process needs for its work is there.
    await broker.publish(topic, { payloadBytes: 100, count: messages, qos: 1 });
    const before = await broker.settledBytes();
    await broker.publish(topic, { payloadBytes: 100, count: messages, qos: 1 });
    await eventually("all are there", () => heardBytes >= 2 * messages * 100);
    // Kept in numbers alone they would be more than this.
    expect((await broker.settledBytes()) - before).toBeLessThan(messages * 32);
    expect(await broker.stats()).toMatchObject({ devices: 1 });
    socket.destroy();
  });
});
