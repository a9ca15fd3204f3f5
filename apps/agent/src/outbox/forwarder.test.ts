import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryBus, type BusConnection, type MemoryBus } from "@fairlead/bus";
import { waitFor } from "@fairlead/bus/testing";
import type { Service } from "@fairlead/kernel";
import { toPayload, toTopic } from "@fairlead/protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createForwarder } from "./forwarder.ts";
import { openOutbox, type Outbox } from "./outbox.ts";
import { startMs, toReply, toTelemetry } from "./testing/bodies.ts";

const at = { tenant: "acme", device: "cam-1" };

describe("the forwarder", () => {
  let folder: string;
  let bus: MemoryBus;
  let plane: BusConnection;
  let connection: BusConnection;
  let outbox: Outbox;
  let forwarder: Service;
  let seen: number[];
  let topics: string[];
  /** What the plane does with the acknowledgement of one message. */
  let answer: (seq: number) => void;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "forwarder-"));
    bus = createMemoryBus();
    seen = [];
    topics = [];
    answer = acknowledge;
    plane = bus.connect({ clientId: "plane" });
    await waitFor(() => plane.connected, "the plane is there");
    await plane.subscribe(["fairlead/v1/acme/+/up/#"], ({ topic, payload }) => {
      const { seq } = JSON.parse(Buffer.from(payload).toString()) as { seq: number };
      topics.push(topic);
      seen.push(seq);
      answer(seq);
    });
    outbox = openOutbox({
      path: join(folder, "outbox.db"),
      clock: { nowMs: () => startMs, monotonicMs: () => 1 },
      createEpoch: () => "epoch0001",
      source: "/devices/cam-1",
    });
    connection = bus.connect({ clientId: "cam-1" });
  });
  afterEach(async () => {
    await forwarder.stop();
    await connection.close();
    await plane.close();
    outbox.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function acknowledge(upTo: number): void {
    const ack = toPayload({ v: 1, epoch: "epoch0001", upTo });
    void plane.publish(toTopic({ kind: "down", ...at, channel: "ack" }), ack);
  }
  const tellHost = (online: boolean) =>
    plane.publish(toTopic({ kind: "host", tenant: "acme" }), toPayload({ v: 1, online, tsMs: startMs }), {
      retain: true,
    });
  async function start(extra: { windowBytes?: number; ackTimeoutMs?: number } = {}): Promise<void> {
    const backoff = { baseMs: 10, maxMs: 40 };
    forwarder = createForwarder({ connection, outbox, ...at, random: () => 0.5, backoff, ...extra });
    await forwarder.start();
  }
  const isEmpty = () => outbox.stats().items === 0;
  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

  it("sends what waited and what comes, in order, each kind to its topic, until all is acknowledged", async () => {
    for (let index = 1; index <= 5; index += 1) outbox.append("telemetry", toTelemetry(index));
    await start();
    outbox.append("reply", toReply());
    await waitFor(isEmpty, "everything is acknowledged");
    expect(seen).toEqual(upTo(6));
    expect(topics[0]).toBe(toTopic({ kind: "up", ...at, channel: "telemetry" }));
    expect(topics[5]).toBe(toTopic({ kind: "reply", ...at, commandId: toReply().commandId }));
  });

  it("keeps no more bytes unacknowledged than the window admits", async () => {
    answer = () => undefined;
    for (let index = 1; index <= 20; index += 1) outbox.append("telemetry", toTelemetry(index));
    const bytes = outbox.pending(0, 1)[0]!.payload.byteLength;
    await start({ windowBytes: bytes * 3 + 10 });
    await waitFor(() => seen.length === 3, "the window is used");
    acknowledge(1);
    await waitFor(() => seen.length === 4, "one more fits");
    expect(seen).toEqual(upTo(4));
  });

  it("sends again from the last acknowledgement after silence, and nothing is lost", async () => {
    let silent = true;
    answer = (seq) => {
      if (!silent) acknowledge(seq);
    };
    for (let index = 1; index <= 3; index += 1) outbox.append("telemetry", toTelemetry(index));
    await start({ ackTimeoutMs: 30 });
    await waitFor(() => seen.length >= 6, "a second attempt");
    expect(seen.slice(0, 6)).toEqual([...upTo(3), ...upTo(3)]);
    silent = false;
    await waitFor(isEmpty, "everything is acknowledged");
  });

  it("begins again after the connection was cut in the middle", async () => {
    answer = (seq) => {
      if (seq === 2) bus.interrupt("cam-1");
      else acknowledge(seq);
    };
    for (let index = 1; index <= 4; index += 1) outbox.append("telemetry", toTelemetry(index));
    await start({ ackTimeoutMs: 5_000 });
    await waitFor(() => !connection.connected, "the cut");
    outbox.append("reply", toReply());
    answer = acknowledge;
    bus.restore("cam-1");
    await waitFor(isEmpty, "everything is acknowledged");
    expect(new Set(seen)).toEqual(new Set(upTo(5)));
  });

  it("waits while the plane says that it is offline", async () => {
    await tellHost(false);
    outbox.append("reply", toReply());
    await waitFor(() => connection.connected, "connected");
    await start();
    await plane.publish("fairlead/v1/acme/cam-2/up/event", toPayload({ seq: 99 }));
    await waitFor(() => seen.includes(99), "the barrier");
    outbox.append("reply", toReply());
    expect(seen.filter((seq) => seq !== 99).length).toBeLessThanOrEqual(1);
    const before = seen.length;
    await plane.publish("fairlead/v1/acme/cam-2/up/event", toPayload({ seq: 98 }));
    await waitFor(() => seen.includes(98), "the second barrier");
    expect(seen).toHaveLength(before + 1);
    await tellHost(true);
    await waitFor(isEmpty, "everything is acknowledged");
  });

  it("survives acknowledgements that make no sense", async () => {
    await start();
    const topic = toTopic({ kind: "down", ...at, channel: "ack" });
    await plane.publish(topic, Buffer.from("no json"));
    await plane.publish(topic, toPayload({ v: 1, epoch: "epoch9999", upTo: 5 }));
    await plane.publish(topic, toPayload({ v: 1, epoch: "epoch0001", upTo: 500 }));
    outbox.append("reply", toReply());
    await waitFor(isEmpty, "everything is acknowledged");
  });
});
