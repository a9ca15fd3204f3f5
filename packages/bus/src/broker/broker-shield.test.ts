import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { toDeviceFilters, toTopic } from "@fairlead/protocol";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { generate } from "mqtt-packet";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { createTestAuthority, type TestAuthority, type TestIdentity } from "../testing/certificates.ts";
import { openLimitedBroker } from "../testing/limited-broker.ts";
import { waitFor } from "../testing/wait-for.ts";
import { defaultBrokerLimits, type Broker, type BrokerLimits } from "./broker-options.ts";
import { openConformanceBroker } from "./conformance-broker.ts";

describe("the shield in front of the broker", () => {
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

  async function open(limits: Partial<BrokerLimits> = {}) {
    const opened = await openLimitedBroker({ ...server, ca: authority.ca }, limits);
    ends.push(() => opened.broker.close());
    return opened;
  }
  async function openPlain(limits: Partial<BrokerLimits> = {}): Promise<Broker> {
    const broker = await openConformanceBroker({ host: "127.0.0.1", port: 0, limits });
    ends.push(() => broker.close());
    return broker;
  }
  async function connect(broker: Broker, options: IClientOptions = {}): Promise<MqttClient> {
    const client = mqtt.connect({
      host: "127.0.0.1",
      port: broker.port,
      reconnectPeriod: 0,
      clientId: "cam-1",
      ...options,
    });
    client.on("error", () => undefined);
    ends.push(() => client.endAsync(true));
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
      client.once("close", () => reject(new Error("closed before CONNACK")));
    });
    return client;
  }
  const asDevice = (): IClientOptions => ({ protocol: "mqtts", ca: authority.ca, ...camera });
  const closing = (emitter: MqttClient | Socket) => {
    const state = { closed: false };
    emitter.on("close", () => (state.closed = true)).on("error", () => undefined);
    return state;
  };
  function openSocket(broker: Broker, ...parts: readonly Uint8Array[]): { socket: Socket; state: { closed: boolean } } {
    const socket = connectTcp(broker.port, "127.0.0.1");
    const state = closing(socket);
    socket.resume();
    ends.push(async () => socket.destroy());
    for (const part of parts) socket.write(part);
    return { socket, state };
  }
  const up = toTopic({ kind: "up", tenant: "acme", device: "cam-1", channel: "telemetry" });
  const hello = (clientId: string | Buffer, clean = true) => {
    const bytes = Buffer.from(clientId as string);
    const body = [
      Buffer.from([0, 4]),
      Buffer.from("MQTT"),
      Buffer.from([4, clean ? 2 : 0, 0, 60, bytes.length >> 8, bytes.length & 255]),
      bytes,
    ];
    const length = Buffer.concat(body).length;
    return Buffer.concat([
      Buffer.from([
        0x10,
        (length & 127) | (length > 127 ? 128 : 0),
        ...(length > 127 ? [((length >> 7) & 127) | (length > 16_383 ? 128 : 0)] : []),
        ...(length > 16_383 ? [length >> 14] : []),
      ]),
      ...body,
    ]);
  };

  it("takes bursts that are bigger than what is read at once", async () => {
    const { broker } = await open();
    const client = await connect(broker, asDevice());
    const payload = Buffer.alloc(1_000);
    await Promise.all(Array.from({ length: 300 }, () => client.publishAsync(up, payload, { qos: 1 })));
    // The library acknowledges before it hands on.
    await waitFor(() => broker.stats().received === 300, "all of them");
    expect(broker.stats().heldBack).toBe(0);
  });

  it("holds back a device that floods, and takes everything that it sent", async () => {
    const { broker } = await open({ bytesPerSecond: 400_000, burstBytes: 50_000 });
    const client = await connect(broker, asDevice());
    const begunMs = performance.now();
    await Promise.all(Array.from({ length: 50 }, () => client.publishAsync(up, Buffer.alloc(5_000), { qos: 1 })));
    expect(performance.now() - begunMs).toBeGreaterThan(300);
    // The library acknowledges before it hands on.
    await waitFor(() => broker.stats().received === 50, "all 50 messages");
    expect(broker.stats().heldBack).toBeGreaterThan(0);
  });

  it.each(["TLSv1.2", "TLSv1.3"] as const)(
    "resumes no session of %s: every connection shows its certificate and has it judged",
    async (version) => {
      const { broker } = await open();
      const options = { host: "127.0.0.1", port: broker.port, ca: authority.ca, ...camera, maxVersion: version };
      const shake = async (session?: Buffer) => {
        let latest: Buffer | undefined;
        const socket = connectTls({ ...options, ...(session && { session }) });
        socket.on("session", (next: Buffer) => (latest = next)).on("error", () => undefined);
        ends.push(async () => socket.destroy());
        socket.write(hello("cam-1"));
        await once(socket, "data");
        return { isReused: socket.isSessionReused(), session: latest ?? socket.getSession() };
      };
      const first = await shake();
      expect(await shake(first.session)).toMatchObject({ isReused: false });
    },
  );

  it("A24 ends what is no ClientHello, and handshakes that never come, and makes those beyond a share wait", async () => {
    const { broker, refusals } = await open({ connectTimeoutMs: 300, handshakesPerAddress: 1 });
    const wrong = [
      Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]),
      Buffer.from([0x16, 3, 1, 0xff, 0xff]),
      Buffer.from([0x16, 3, 1, 0, 8, 2]),
      Buffer.from([0x16, 3, 1, 0, 8, 1, 1, 0, 0]),
    ];
    const states = wrong.map((bytes) => openSocket(broker, bytes).state);
    await waitFor(() => states.every((state) => state.closed), "what is no ClientHello is ended");
    const silent = openSocket(broker);
    const half = openSocket(broker, Buffer.from([0x16, 3, 1, 1, 0, 1]));
    await waitFor(() => silent.state.closed && half.state.closed, "the silent ones are ended");
    expect(refusals.map((refusal) => refusal.what)).toEqual(Array.from({ length: 6 }, () => "connection"));
    // Whoever is beyond the share waits until another has left.
    await Promise.all(
      [1, 2, 3, 4].map(async () => {
        const socket = connectTls({ host: "127.0.0.1", port: broker.port, ca: authority.ca, ...camera });
        await new Promise<void>((resolve, reject) => void socket.once("secureConnect", resolve).once("error", reject));
        socket.destroy();
      }),
    );
  });

  it("A24 keeps the place of a stranger with TLS until its CONNECT is accepted", async () => {
    const { broker } = await open({ handshakesPerAddress: 1 });
    const openTls = (): { socket: TLSSocket; state: { secure: boolean } } => {
      const socket = connectTls({ host: "127.0.0.1", port: broker.port, ca: authority.ca, ...camera });
      const state = { secure: false };
      socket.on("error", () => undefined).on("secureConnect", () => (state.secure = true));
      ends.push(async () => socket.destroy());
      return { socket, state };
    };
    const first = openTls();
    await waitFor(() => first.state.secure, "the first has TLS");
    const second = openTls();
    await waitFor(() => broker.stats().connections === 2, "the second is there");
    // What a neighbour does meanwhile takes several turns of the broker, in which the second gets no answer.
    const third = openSocket(broker, Buffer.from([0x10]));
    await waitFor(() => third.state.closed, "the third was judged");
    expect(second.state.secure).toBe(false);
    first.socket.write(generate({ cmd: "connect", clientId: "cam-1", clean: true, keepalive: 60, protocolVersion: 4 }));
    await waitFor(() => second.state.secure, "the place is free");
  });

  it("A24 reads nothing more from a connection until its CONNECT is answered", async () => {
    const broker = await openPlain();
    const state = openSocket(broker, Buffer.concat([hello("a"), Buffer.alloc(40_000, Buffer.from([0xc0, 0]))])).state;
    await waitFor(() => state.closed, "closed for what came before the answer");
  });

  it("A25 admits no client id of a form that was not issued", async () => {
    const broker = await openPlain();
    const { broker: product } = await open();
    const surrogate = Buffer.from([0x61, 0xed, 0xa0, 0x80]);
    for (const id of ["__proto__", "a/b/#", "../../etc", "a\0b", surrogate, "x".repeat(65_535)]) {
      const { state } = openSocket(broker, hello(id));
      await waitFor(() => state.closed, `refused: ${id.slice(0, 20).toString()}`);
    }
    for (const clientId of ["__proto__", "constructor", "a/b/#", "../../etc"])
      await expect(connect(product, { ...asDevice(), clientId }), clientId).rejects.toThrow(/authorized/iu);
    // A word of the language is an identifier like any other, and leaves none of its meaning behind.
    const one = await connect(broker, { clientId: "constructor" });
    await one.subscribeAsync("a", { qos: 1 });
    expect(product.stats().devices + broker.stats().devices).toBe(1);
  });

  it("A27 grants no filter but a device's own, and delivers nothing else to it", async () => {
    const { broker, refusals } = await open();
    const client = await connect(broker, asDevice());
    const foreign = ["#", "+/+/#", "$SYS/#", "$share/g/fairlead/#", "fairlead/v1/acme/+/down/desired"];
    for (const filter of foreign) await expect(client.subscribeAsync(filter), filter).rejects.toThrow(/./u);
    expect(refusals.map(({ what, subject }) => [what, subject])).toEqual(foreign.map((f) => ["subscription", f]));
    await client.subscribeAsync([...toDeviceFilters("acme", "cam-1")]);
    const seen: string[] = [];
    client.on("message", (topic) => void seen.push(topic));
    const down = (device: string) => toTopic({ kind: "down", tenant: "acme", device, channel: "ack" });
    // Nobody but the plane publishes here, whatever it says of the topic.
    for (const topic of [down("cam-2"), "fairlead/v1/acme/cam-1/down/command/not-an-id", down("cam-1")])
      await broker.publish(topic, Buffer.from("x"));
    await waitFor(() => seen.length > 0, "its own message");
    expect(seen).toEqual([down("cam-1")]);
  });

  it("A28 refuses what is reserved and ends that connection, for devices and for anonymous clients", async () => {
    const { broker, refusals } = await open();
    const plain = await openPlain();
    for (const topic of ["$SYS/x", "$share/g/x"]) {
      for (const client of [await connect(broker, asDevice()), await connect(plain)]) {
        const state = closing(client);
        client.publish(topic, "x", { qos: 1 });
        await waitFor(() => state.closed, `closed: ${topic}`);
      }
    }
    expect(refusals).toMatchObject(
      ["$SYS/x", "$share/g/x"].map((subject) => ({ what: "publish", device: "cam-1", subject })),
    );
    expect(refusals[0]?.from).toContain("127.0.0.1");
    expect(plain.stats().refusedPublishes).toBe(2);
  });

  it("A30 ends whoever leaves messages of quality 2 unreleased, and admits none from devices", async () => {
    const { broker } = await open();
    const device = closing(await connect(broker, asDevice()).then((client) => client.publish(up, "x", { qos: 2 })));
    await waitFor(() => device.closed, "quality 2 is refused");
    const plain = await openPlain();
    const publish = (messageId: number) =>
      generate({ cmd: "publish", topic: "t", payload: "x", qos: 2, messageId, dup: false, retain: false });
    const { socket, state } = openSocket(plain, hello("flood"));
    await waitFor(() => plain.stats().devices === 1, "admitted");
    // Every number that there is.
    socket.write(Buffer.concat(Array.from({ length: 65_535 }, (_, index) => publish(index + 1))));
    await waitFor(() => state.closed, "the flood is ended");
    expect(plain.stats().protocolErrors).toBeGreaterThan(0);
  });

  it("A31 retains no more than a client's share of a million topics, no deep topic and no long one", async () => {
    const plain = await openPlain();
    const { socket, state } = openSocket(plain, hello("hoarder"));
    await waitFor(() => plain.stats().devices === 1, "admitted");
    // A million PUBLISH packets with the retain flag, ten thousand in one piece; what comes after the end falls into the void.
    for (let first = 0; first < 1_000_000 && !state.closed; first += 10_000) {
      const packets = Array.from({ length: 10_000 }, (_, index) => {
        const topic = `t/${String(first + index).padStart(7, "0")}`;
        return `\x31\x0c\x00\x09${topic}x`;
      });
      await new Promise<void>((resolve) => void socket.write(packets.join(""), "latin1", () => resolve()));
    }
    await waitFor(() => state.closed, "the quota ends it");
    const { retainedBytesPerClient } = defaultBrokerLimits;
    expect(plain.stats().retainedBytes).toBeGreaterThan(retainedBytesPerClient / 2);
    expect(plain.stats().retainedBytes).toBeLessThanOrEqual(retainedBytesPerClient);
    const deep = closing(await connect(plain).then((one) => one.publish("a/".repeat(127), "x")));
    const long = closing(await connect(plain).then((one) => one.publish("a".repeat(65_535), "x")));
    await waitFor(() => deep.closed && long.closed, "both are ended");
  });
});
