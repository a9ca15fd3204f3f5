import { openConformanceBroker } from "@fairlead/bus/conformance";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { OwnedProcess } from "../support/process.ts";

describe("the embedded broker in its conformance mode", () => {
  let broker: OwnedProcess;
  let port = 0;
  const clients: MqttClient[] = [];
  beforeAll(async () => {
    broker = new OwnedProcess({ name: "broker", entry: "test/conformance/mqtt-broker", args: ["--port", "0"] });
    port = await eventually("the broker listens", () => Number(/:(\d+)\n/u.exec(broker.output)?.[1]) || undefined);
  });
  afterAll(async () => {
    for (const client of clients) await client.endAsync(true);
    await broker[Symbol.asyncDispose]();
  });

  async function connect(clientId: string, options: IClientOptions = {}) {
    const client = mqtt.connect({ host: "127.0.0.1", port, clientId, reconnectPeriod: 0, ...options });
    clients.push(client);
    const seen: IPublishPacket[] = [];
    client.on("message", (_topic, _payload, packet) => void seen.push(packet));
    const { sessionPresent } = await new Promise<{ sessionPresent: boolean }>((resolve, reject) => {
      client.once("connect", resolve);
      client.once("error", reject);
    });
    return { client, seen, sessionPresent };
  }

  it("keeps a session and what came for it while its client was away", async () => {
    const first = await connect("keeper", { clean: false });
    await first.client.subscribeAsync("kept/#", { qos: 2 });
    await first.client.endAsync();
    const sender = await connect("sender");
    for (const qos of [1, 2] as const) await sender.client.publishAsync("kept/a", `q${qos}`, { qos });
    const again = await connect("keeper", { clean: false });
    expect(again.sessionPresent).toBe(true);
    await eventually("both messages", () => again.seen.length === 2);
    expect(again.seen.map((packet) => packet.payload.toString())).toEqual(["q1", "q2"]);
    await again.client.endAsync();
    // Acknowledged is gone.
    const third = await connect("keeper", { clean: false });
    await sender.client.publishAsync("kept/a", "last", { qos: 1 });
    await eventually("the last one", () => third.seen.length > 0);
    expect(third.seen.map((packet) => packet.payload.toString())).toEqual(["last"]);
  });

  it("delivers each message of quality 2 exactly once, many at a time", async () => {
    const { client, seen } = await connect("twice", { clean: false });
    await client.subscribeAsync("exact/+", { qos: 2 });
    await Promise.all(
      Array.from({ length: 50 }, (_, index) => client.publishAsync(`exact/${index}`, `${index}`, { qos: 2 })),
    );
    await client.publishAsync("exact/end", "end", { qos: 2 });
    await eventually("the end", () => seen.some((packet) => packet.topic === "exact/end"));
    const numbers = seen.map((packet) => packet.topic);
    expect(new Set(numbers).size).toBe(51);
    expect(numbers).toHaveLength(51);
  });

  it("delivers a message once, or once per filter, where filters overlap", async () => {
    const { client, seen } = await connect("overlap");
    await client.subscribeAsync({ "over/#": { qos: 2 }, "over/+": { qos: 1 } });
    await client.publishAsync("over/a", "x", { qos: 2 });
    await client.publishAsync("over/end", "end", { qos: 2 });
    await eventually("the end", () => seen.some((packet) => packet.topic === "over/end"));
    const qualities = seen.filter((packet) => packet.topic === "over/a").map((packet) => packet.qos);
    expect([[2], [1, 2]]).toContainEqual(qualities.toSorted((left, right) => left - right));
  });

  it("refuses an empty client id with a session to keep, with code 2, and admits one without", async () => {
    // The client library does not let this out, so it is said in bytes.
    const socket = connectTcp(port, "127.0.0.1");
    socket.write(Buffer.from([0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 60, 0, 0]));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect([...answer]).toEqual([0x20, 2, 0, 2]);
    if (!socket.closed) await once(socket, "close");
    expect((await connect("", { clean: true })).sessionPresent).toBe(false);
  });

  it("refuses test/nosubscribe and what is reserved, and serves the other filters of the packet", async () => {
    const { client } = await connect("asks");
    for (const filter of ["test/nosubscribe", "$SYS/#", "$share/g/a"])
      await expect(client.subscribeAsync(filter, { qos: 2 }), filter).rejects.toThrow(/./u);
  });

  it("is not opened on an address that others reach", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "localhost.example"])
      await expect(openConformanceBroker({ host, port: 0 })).rejects.toMatchObject({ code: "config_invalid" });
  });
});
