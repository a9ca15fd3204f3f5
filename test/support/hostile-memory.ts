import { connectAsync, type MqttClient } from "mqtt";
import type { MeasuredBroker } from "./broker-process.ts";
import { eventually } from "./eventually.ts";
import { createTarget, type Credentials, type HostileKind } from "./hostile-clients.ts";

/** So many looks without growth, one in 50 ms: the broker has made of its clients what it will. */
const steadyLooks = 12;
const steadyBytes = 65_536;

async function untilSteady(broker: MeasuredBroker): Promise<void> {
  let peak = 0;
  let looks = 0;
  await eventually("the broker's memory is steady", () => {
    looks = broker.peakBytes - peak > steadyBytes ? 0 : looks + 1;
    peak = broker.peakBytes;
    return looks >= steadyLooks;
  });
}

export interface Hostility {
  readonly kind: HostileKind;
  readonly credentials: Credentials;
  readonly count: number;
  /** Addresses of loopback that they come from, in turns; default one. */
  readonly addresses?: readonly string[];
}

/** The most that a broker's resident memory grows while so many clients of a kind are there, in bytes for each of them. */
export async function measureHostile(broker: MeasuredBroker, hostility: Hostility): Promise<number> {
  const { kind, credentials, count, addresses = ["127.0.0.1"] } = hostility;
  const targets = addresses.map((from) => createTarget(broker.port, credentials, from));
  const crowd = async (size: number): Promise<() => void> => {
    const clients = Array.from({ length: Math.ceil(size / targets.length) }, () => targets.map(kind.open)).flat();
    await Promise.all(clients.map((client) => client.begun));
    await untilSteady(broker);
    return () => {
      for (const { socket } of clients) socket.destroy();
    };
  };
  // The first of a kind make the broker read and compile what it needs for them.
  const leave = await crowd(16);
  leave();
  await untilSteady(broker);
  const before = await broker.settledBytes();
  broker.resetPeak();
  const end = await crowd(count);
  const bytes = (broker.peakBytes - before) / count;
  end();
  return bytes;
}

export interface SlowReading {
  readonly credentials: Credentials;
  /** What the device subscribes to and does not read. */
  readonly topic: string;
  /** Publishes there. */
  readonly publish: () => Promise<void>;
}

/** A session of the device `cam-1` over TLS. */
async function connectCamera({ port }: MeasuredBroker, { ca, device }: Credentials): Promise<MqttClient> {
  const session = { protocol: "mqtts", host: "127.0.0.1", clientId: "cam-1", reconnectPeriod: 0 } as const;
  const client = await connectAsync({ ...session, port, ca, ...device });
  return client.on("error", () => undefined);
}

/** The most that a broker's resident memory grows while one device reads nothing of what is published to it, in bytes. */
export async function measureSlowReader(broker: MeasuredBroker, reading: SlowReading): Promise<number> {
  const client = await connectCamera(broker, reading.credentials);
  await client.subscribeAsync(reading.topic);
  client.stream.pause();
  const before = await broker.settledBytes();
  broker.resetPeak();
  await reading.publish();
  await untilSteady(broker);
  const bytes = broker.peakBytes - before;
  await client.endAsync(true);
  return bytes;
}
