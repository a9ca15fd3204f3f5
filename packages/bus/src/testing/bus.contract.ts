import { toDeviceFilters, toTopic } from "@fairlead/protocol";
import { afterEach, describe, expect, it } from "vitest";
import type { Bus, BusConnection, BusMessage } from "../bus.ts";
import { waitFor } from "./wait-for.ts";

/** What the suite needs from an implementation: one device, and the plane at the other end. */
export interface BusHarness {
  readonly bus: Bus;
  readonly tenant: string;
  readonly device: string;
  /** What reached the plane so far. */
  readonly received: readonly { readonly topic: string; readonly text: string }[];
  publishAsPlane(topic: string, text: string, retain?: boolean): Promise<void>;
  /** Cuts the device off without a goodbye; the connection is expected to come back by itself or by `restore`. */
  interrupt(): void;
  restore(): void;
  close(): Promise<void>;
}

/** The promises of `BusConnection`, run on every implementation. */
export function describeBusContract(name: string, open: () => Promise<BusHarness>): void {
  describe(`${name} keeps the bus contract`, () => {
    const ends: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const end of ends.splice(0).toReversed()) await end();
    });

    async function start(): Promise<BusHarness & { connection: BusConnection }> {
      const harness = await open();
      ends.push(() => harness.close());
      const connection = harness.bus.connect({ clientId: harness.device });
      ends.push(() => connection.close());
      return Object.assign(harness, { connection });
    }
    const up = ({ tenant, device }: BusHarness) => toTopic({ kind: "up", tenant, device, channel: "telemetry" });
    const down = ({ tenant, device }: BusHarness) => toTopic({ kind: "down", tenant, device, channel: "ack" });
    const bytes = (text: string) => new TextEncoder().encode(text);

    it("delivers what the device publishes, in order", async () => {
      const harness = await start();
      await waitFor(() => harness.connection.connected, "connected");
      for (let index = 0; index < 20; index += 1) await harness.connection.publish(up(harness), bytes(`n${index}`));
      await waitFor(() => harness.received.length === 20, "20 messages");
      expect(harness.received.map((message) => message.text)).toEqual(Array.from({ length: 20 }, (_, i) => `n${i}`));
    });

    it("delivers what the plane publishes to the filters asked for, and nothing after the subscription ended", async () => {
      const harness = await start();
      await waitFor(() => harness.connection.connected, "connected");
      const seen: BusMessage[] = [];
      const end = await harness.connection.subscribe(toDeviceFilters(harness.tenant, harness.device), (message) => {
        seen.push(message);
      });
      await harness.publishAsPlane(down(harness), "one");
      await waitFor(() => seen.length === 1, "one message");
      expect(Buffer.from(seen[0]!.payload).toString()).toBe("one");
      end();
      await harness.publishAsPlane(down(harness), "two");
      await harness.connection.publish(up(harness), bytes("barrier"));
      await waitFor(() => harness.received.length === 1, "the barrier");
      expect(seen).toHaveLength(1);
    });

    it("replays what is retained to a late subscriber, marked as such", async () => {
      const harness = await start();
      await harness.publishAsPlane(down(harness), "kept", true);
      const seen: BusMessage[] = [];
      await harness.connection.subscribe([down(harness)], (message) => void seen.push(message));
      await waitFor(() => seen.length > 0, "the retained message");
      expect(seen[0]?.retained).toBe(true);
    });

    it("renews subscriptions before it says that it is connected again", async () => {
      const harness = await start();
      const seen: string[] = [];
      await harness.connection.subscribe(
        [down(harness)],
        ({ payload }) => void seen.push(Buffer.from(payload).toString()),
      );
      await waitFor(() => harness.connection.connected, "connected");
      let losses = 0;
      let connects = 0;
      harness.connection.onDisconnect(() => (losses += 1));
      harness.connection.onConnect(() => (connects += 1));
      expect(connects).toBe(1);
      harness.interrupt();
      await waitFor(() => losses === 1, "the loss is noticed");
      harness.restore();
      await waitFor(() => connects === 2, "connected again");
      await harness.publishAsPlane(down(harness), "after");
      await waitFor(() => seen.includes("after"), "the message after the reconnect");
    });

    it("publishes the will when the connection is cut, and none after a goodbye", async () => {
      const harness = await start();
      await harness.connection.close();
      const topic = toTopic({ kind: "up", tenant: harness.tenant, device: harness.device, channel: "status" });
      const connection = harness.bus.connect({
        clientId: harness.device,
        will: () => ({ topic, payload: bytes("gone"), retain: true }),
      });
      ends.push(() => connection.close());
      await waitFor(() => connection.connected, "connected");
      harness.interrupt();
      await waitFor(() => harness.received.some((message) => message.text === "gone"), "the will");
      harness.restore();
      await waitFor(() => connection.connected, "connected again");
      const before = harness.received.length;
      await connection.close();
      expect(harness.received).toHaveLength(before);
    });

    it("fails at once with a code while it is offline, too large or closed", async () => {
      const harness = await start();
      await expect(harness.connection.publish(up(harness), bytes("x"))).rejects.toMatchObject({ code: "bus_offline" });
      await waitFor(() => harness.connection.connected, "connected");
      await expect(harness.connection.publish(up(harness), new Uint8Array(262_145))).rejects.toMatchObject({
        code: "publish_too_large",
      });
      await harness.connection.close();
      await harness.connection.close();
      await expect(harness.connection.publish(up(harness), bytes("x"))).rejects.toMatchObject({ code: "bus_closed" });
    });

    it("keeps serving other handlers when one throws", async () => {
      const harness = await start();
      let seen = 0;
      await harness.connection.subscribe([down(harness)], () => {
        throw new Error("bad handler");
      });
      await harness.connection.subscribe([down(harness)], () => void (seen += 1));
      await waitFor(() => harness.connection.connected, "connected");
      await harness.publishAsPlane(down(harness), "one");
      await waitFor(() => seen === 1, "the second handler");
    });
  });
}
