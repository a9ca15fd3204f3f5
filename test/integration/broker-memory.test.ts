import { createTestAuthority, type TestIdentity } from "@fairlead/bus/testing/certificates";
import { toTopic } from "@fairlead/protocol";
import { connectAsync } from "mqtt";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { beforeAll, describe, expect, it } from "vitest";
import { BrokerProcess, type BrokerSetup } from "../support/broker-process.ts";
import { eventually } from "../support/eventually.ts";

const sockets = 200;
const boundBytes = 65_536;

describe("the memory of the broker's process", () => {
  let tls: BrokerSetup["tls"];
  let camera: TestIdentity;
  beforeAll(async () => {
    const authority = await createTestAuthority();
    tls = { ...(await authority.issueServer("127.0.0.1")), ca: authority.ca };
    camera = await authority.issueDevice("acme", "cam-1");
  });
  const start = (kind: BrokerSetup["kind"]) => new BrokerProcess().start({ kind, tls, tenant: "acme", limits: {} });

  function openSocket(port: number, begin: (socket: Socket) => void): Socket {
    const socket = connectTcp(port, "127.0.0.1", () => begin(socket));
    return socket.on("error", () => undefined).resume();
  }
  /** Writes up to 32 MB, as fast as the other end takes it. */
  function pour(socket: Socket): void {
    const chunk = Buffer.alloc(65_536);
    let left = 512;
    const more = (): void => {
      while (left > 0 && !socket.destroyed) {
        left -= 1;
        if (!socket.write(chunk)) return void socket.once("drain", more);
      }
    };
    more();
  }
  const promise = Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]);
  /** A real ClientHello, and nothing that answers the answer. */
  function sayHello(socket: Socket): void {
    const cut = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    });
    connectTls({ socket: cut, ca: tls.ca, ...camera }).on("error", () => undefined);
  }
  const attacks: readonly (readonly [string, BrokerSetup["kind"], (socket: Socket) => void])[] = [
    ["silence", "conformance", () => undefined],
    ["a promise of 256 MB, then silence", "conformance", (socket) => void socket.write(promise)],
    ["a promise of 256 MB, then 32 MB", "conformance", (socket) => (socket.write(promise), pour(socket))],
    [
      "a CONNECT that stays unfinished",
      "conformance",
      (socket) =>
        void socket.write(
          Buffer.concat([Buffer.from([0x10, 0xfe, 0x3f, 0, 4]), Buffer.from("MQTT"), Buffer.alloc(8_000)]),
        ),
    ],
    ["silence before TLS", "product", () => undefined],
    [
      "half a ClientHello",
      "product",
      (socket) =>
        void socket.write(
          Buffer.concat([Buffer.from([0x16, 3, 1, 0x1f, 0xf0, 1, 0, 0x1f, 0xec]), Buffer.alloc(7_000)]),
        ),
    ],
    ["a ClientHello, then silence", "product", sayHello],
    ["a ClientHello, then 32 MB", "product", (socket) => (sayHello(socket), setTimeout(() => pour(socket), 100))],
  ];

  it.each(attacks)("A24 grows by at most 64 kB for a stranger's socket: %s", async (_what, kind, begin) => {
    await using broker = await start(kind);
    const before = await broker.settledBytes();
    broker.resetPeak();
    const open = Array.from({ length: sockets }, () => openSocket(broker.port, begin));
    await eventually("all were heard", async () => {
      const { connections, refusedConnections, protocolErrors } = await broker.stats();
      return connections + refusedConnections + protocolErrors >= sockets && open.every((socket) => !socket.connecting);
    });
    const peak = broker.peakBytes;
    for (const socket of open) socket.destroy();
    expect((peak - before) / sockets).toBeLessThanOrEqual(boundBytes);
  });

  it("A32 stays bounded while a device reads nothing of 64 MB, which ends the device", async () => {
    await using broker = await start("product");
    const client = await connectAsync({
      protocol: "mqtts",
      host: "127.0.0.1",
      port: broker.port,
      ca: tls.ca,
      ...camera,
      clientId: "cam-1",
    });
    const topic = toTopic({ kind: "down", tenant: "acme", device: "cam-1", channel: "ack" });
    await client.subscribeAsync(topic);
    client.on("error", () => undefined);
    client.options.reconnectPeriod = 0;
    client.stream.pause();
    const before = await broker.settledBytes();
    broker.resetPeak();
    await broker.publish(topic, 65_536, 1_000);
    expect(await broker.stats()).toMatchObject({ slowReaders: 1, outboundBytes: 0 });
    expect(broker.peakBytes - before).toBeLessThan(48 * 1_048_576);
    await client.endAsync(true);
  });
});
