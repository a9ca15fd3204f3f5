import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parsePayload, ackSchema, toPayload, toTopic, type TelemetryMessage } from "@fairlead/protocol";
import { Aedes } from "aedes";
import { connectAsync, type MqttClient } from "mqtt";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import type { Row } from "./measure.ts";
import { readRssBytes } from "../support/rss.ts";

const messages = 20_000;
const inFlight = 500;

/** Publishes one round, after so many messages before it, with a bounded number of them on the way. */
async function publishAll(client: MqttClient, topic: string, already = 0): Promise<void> {
  const waiting = new Set<Promise<unknown>>();
  for (let seq = already + 1; seq <= already + messages; seq += 1) {
    const body = Buffer.from(toPayload(toMessage(seq)));
    const sent = client.publishAsync(topic, body, { qos: 1 }).finally(() => waiting.delete(sent));
    waiting.add(sent);
    if (waiting.size >= inFlight) await Promise.race(waiting);
  }
  await Promise.all(waiting);
}

function toMessage(seq: number): TelemetryMessage {
  const none = { value: null, reason: "benchmark" } as const;
  const at = Date.now();
  return {
    ...{ v: 1, epoch: "benchmark0", seq, tsMs: at, uptimeMs: seq },
    windows: [
      {
        ...{ t0Ms: at - 10_000, t1Ms: at, mergedWindows: 1, slots: [] },
        host: {
          ...{ cpuRatio: { value: 0.2 }, memoryUsedBytes: { value: 1e9 }, memoryTotalBytes: { value: 2e9 } },
          ...{ temperatureC: none, diskFreeBytes: { value: 1e9 }, diskTotalBytes: { value: 2e9 } },
          ...{ throttled: none, uptimeS: { value: 1_000 } },
        },
        energy: {
          method: "modelled",
          scope: "device",
          source: "benchmark",
          totalJ: { value: 20 },
          idleJ: { value: 18 },
          activeJ: { value: 2 },
        },
      },
    ],
  };
}

/** What bare aedes carries from one client to another at QoS 1: the ceiling that no durable ingest can reach. */
async function benchBareRelay(): Promise<number> {
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => void broker.handle(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `mqtt://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  const [from, to] = [await connectAsync(url), await connectAsync(url)];
  let received = 0;
  const all = new Promise<void>((resolve) => {
    to.on("message", () => {
      received += 1;
      if (received === messages) resolve();
    });
  });
  await to.subscribeAsync("bench", { qos: 1 });
  const startedAt = performance.now();
  await publishAll(from, "bench");
  await all;
  const perSecond = messages / ((performance.now() - startedAt) / 1_000);
  await Promise.all([from.endAsync(), to.endAsync()]);
  await new Promise<void>((resolve) => broker.close(() => server.close(() => resolve())));
  return perSecond;
}

/** MQTT in → row committed → acknowledged, through a real plane over TLS with a real device certificate. */
export async function benchIngest(): Promise<Row[]> {
  const relayed = await benchBareRelay();
  const dir = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  await using _folder = { [Symbol.asyncDispose]: async () => rmSync(dir, { recursive: true, force: true }) };
  await using plane = await new TestPlane({ dir: join(dir, "plane") }).start();
  const device = new TestDevice({ name: "bench-1", dir: join(dir, "bench-1"), labels: {} });
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  const identity = (name: string) => readFileSync(join(device.dataDir, "identity", name), "utf8");
  const client = await connectAsync(plane.mqttUrl, {
    ...{ key: identity("device.key"), cert: identity("device.crt"), ca: identity("ca.pem"), clientId: device.name },
  });
  const topicOf = { tenant: plane.tenant, device: device.name };
  let ackedUpTo = 0;
  client.on("message", (_, payload) => (ackedUpTo = Math.max(ackedUpTo, parsePayload(ackSchema, payload).upTo)));
  await client.subscribeAsync(toTopic({ kind: "down", ...topicOf, channel: "ack" }), { qos: 1 });
  const sendRound = async (already: number): Promise<{ readonly seconds: number; readonly rssBytes: number }> => {
    const startedAt = performance.now();
    await publishAll(client, toTopic({ kind: "up", ...topicOf, channel: "telemetry" }), already);
    await eventually("all messages are acknowledged", () => ackedUpTo === already + messages, 120_000);
    return { seconds: (performance.now() - startedAt) / 1_000, rssBytes: readRssBytes(plane.process.pid) };
  };
  // The first round warms the plane up: its heap grows to what one batch needs, and the database's cache fills.
  await sendRound(0);
  const second = await sendRound(messages);
  const third = await sendRound(2 * messages);
  const perSecond = messages / second.seconds;
  await client.endAsync();
  const growth = third.rssBytes / second.rssBytes;
  return [
    {
      name: "durable ingest: MQTT in, row committed, acknowledged",
      value: `${Math.round(perSecond)} messages/s`,
      against: `${Math.round(relayed)} messages/s through bare aedes, QoS 1, no TLS`,
      ratio: (perSecond / relayed).toFixed(2),
      bound: "≥ 0.3",
      held: perSecond / relayed >= 0.3,
    },
    {
      name: `plane memory after ${3 * messages} messages`,
      value: `${Math.round(third.rssBytes / 1e6)} MB`,
      against: `${Math.round(second.rssBytes / 1e6)} MB after ${2 * messages}`,
      ratio: growth.toFixed(2),
      bound: "≤ 1.1",
      held: growth <= 1.1,
    },
  ];
}
