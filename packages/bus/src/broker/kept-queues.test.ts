import { describe, expect, it } from "vitest";
import { KeptQueues, type KeptPacket } from "./kept-queues.ts";

const message = (brokerCounter: number, payloadBytes = 744): KeptPacket => ({
  ...{ cmd: "publish", brokerId: "x", brokerCounter, topic: "" },
  payload: Buffer.alloc(payloadBytes),
});
function open(bytesPerClient: number, bytesInAll: number) {
  const seen = { dropped: 0 };
  const queues = new KeptQueues({ bytesPerClient, bytesInAll, onDrop: () => void (seen.dropped += 1) });
  const listCounters = (client: string) => queues.list(client).map(({ brokerCounter }) => brokerCounter);
  return { queues, seen, listCounters };
}

describe("what waits for sessions that are away", () => {
  it("is the oldest that fits into a session's share, and what is beyond is counted", () => {
    const { queues, seen, listCounters } = open(3_000, 100_000);
    for (let counter = 1; counter <= 10; counter += 1) queues.add("cam-1", message(counter));
    expect(listCounters("cam-1")).toEqual([1, 2, 3]);
    expect(seen.dropped).toBe(7);
  });

  it("stays within what all sessions may hold together, however many there are", () => {
    const { queues, seen, listCounters } = open(3_000, 4_000);
    for (const client of ["a", "b", "c"])
      for (let counter = 1; counter <= 3; counter += 1) queues.add(client, message(counter));
    expect([listCounters("a"), listCounters("b"), listCounters("c")]).toEqual([[1, 2, 3], [1], []]);
    expect(seen.dropped).toBe(5);
  });

  it("counts a message that has no payload, so that empty ones are no way around the bound", () => {
    const { queues, listCounters } = open(2_560, 100_000);
    for (let counter = 1; counter <= 1_000; counter += 1) queues.add("cam-1", message(counter, 0));
    expect(listCounters("cam-1")).toHaveLength(10);
  });

  it("gives the bytes of a message back when it is released, and the rest when the exchange ends", () => {
    const { queues, seen, listCounters } = open(1_000, 1_000);
    queues.add("cam-1", message(1));
    queues.update("cam-1", { ...message(1), messageId: 7 });
    queues.update("cam-1", { cmd: "pubrel", messageId: 7 });
    queues.add("cam-1", message(2, 400));
    queues.add("cam-2", message(3, 400));
    expect([listCounters("cam-1"), listCounters("cam-2"), seen.dropped]).toEqual([[undefined, 2], [], 1]);
    expect(queues.remove("cam-1", 7)).toMatchObject({ cmd: "pubrel" });
    expect(queues.remove("cam-1", 7)).toBeUndefined();
    queues.add("cam-1", message(4, 0));
    expect([listCounters("cam-1"), seen.dropped]).toEqual([[2, 4], 1]);
  });

  it("marks as a duplicate only what was sent before, and keeps no number of another session", () => {
    const { queues } = open(10_000, 10_000);
    const packet = { ...message(1), messageId: 9 };
    queues.add("cam-1", packet);
    queues.add("cam-1", message(2));
    queues.update("cam-1", { ...message(2), messageId: 1 });
    expect(queues.list("cam-1").map(({ dup, messageId }) => [dup, messageId])).toEqual([
      [undefined, undefined],
      [true, 1],
    ]);
    expect(() => queues.update("cam-2", { ...message(2), messageId: 1 })).toThrow("no such packet");
  });
});
