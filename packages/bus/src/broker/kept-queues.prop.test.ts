import fc from "fast-check";
import { expect, it } from "vitest";
import { KeptQueues, type KeptPacket } from "./kept-queues.ts";

const bounds = { bytesPerClient: 4_000, bytesInAll: 6_000 };
const clients = ["a", "b", "c"] as const;

/** What the bounds count, told once more in the test's own words: 256 bytes, the topic in UTF-16, the payload. */
const toBytes = ({ topic, payload }: KeptPacket): number => 256 + 2 * (topic?.length ?? 0) + (payload?.length ?? 0);
const sum = (packets: readonly KeptPacket[]): number => packets.reduce((all, packet) => all + toBytes(packet), 0);

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("add" as const), bytes: fc.integer({ min: 0, max: 2_500 }) }) },
  fc.record({ kind: fc.constant("number" as const) }),
  fc.record({ kind: fc.constant("release" as const) }),
  fc.record({ kind: fc.constant("end" as const) }),
);
const steps = fc.array(fc.tuple(fc.constantFrom(...clients), step), { maxLength: 80 });

it("keeps what fits in the order in which it came, drops nothing else, and never more than the bounds, whatever happens", () => {
  fc.assert(
    fc.property(steps, (history) => {
      let dropped = 0;
      let counter = 0;
      const queues = new KeptQueues({ ...bounds, onDrop: () => (dropped += 1) });
      const model = new Map<string, KeptPacket[]>(clients.map((client) => [client, []]));
      const total = (): number => [...model.values()].reduce((all, packets) => all + sum(packets), 0);
      let shouldDrop = 0;
      for (const [client, action] of history) {
        const own = model.get(client) ?? [];
        counter += 1;
        if (action.kind === "add") {
          const payload = Buffer.alloc(action.bytes);
          const packet = { cmd: "publish", brokerId: "x", brokerCounter: counter, topic: "t/1", payload };
          queues.add(client, packet);
          const fits =
            sum(own) + toBytes(packet) <= bounds.bytesPerClient && total() + toBytes(packet) <= bounds.bytesInAll;
          if (fits) own.push(packet);
          else shouldDrop += 1;
        } else if (action.kind === "number") {
          // The next message that has no number yet is sent.
          const next = own.find(({ messageId }) => messageId === undefined);
          if (next === undefined) continue;
          next.messageId = counter;
          queues.update(client, { ...next });
        } else {
          const sent = own.find(({ messageId }) => messageId !== undefined);
          if (sent === undefined) continue;
          if (action.kind === "end") {
            queues.remove(client, sent.messageId);
            own.splice(own.indexOf(sent), 1);
          } else {
            const release: KeptPacket = { cmd: "pubrel", messageId: sent.messageId };
            queues.update(client, release);
            own.splice(own.indexOf(sent), 1, { ...release });
          }
        }
        expect(dropped).toBe(shouldDrop);
        for (const name of clients) {
          const seen = queues.list(name).map(({ cmd, brokerCounter, messageId }) => [cmd, brokerCounter, messageId]);
          const wanted = model.get(name)?.map((kept) => [kept.cmd, kept.brokerCounter, kept.messageId]);
          expect(seen).toEqual(wanted);
          expect(sum(queues.list(name))).toBeLessThanOrEqual(bounds.bytesPerClient);
        }
        expect(total()).toBeLessThanOrEqual(bounds.bytesInAll);
      }
      // What is ended gives back all that it held: as much fits as on the first day.
      for (const name of clients) for (const { messageId } of queues.list(name)) queues.remove(name, messageId);
      const whole = (topic: string) => ({ cmd: "publish", topic, payload: Buffer.alloc(bounds.bytesPerClient - 258) });
      queues.add("a", whole("a"));
      expect(queues.list("a")).toHaveLength(1);
      expect(dropped).toBe(shouldDrop);
    }),
  );
});
