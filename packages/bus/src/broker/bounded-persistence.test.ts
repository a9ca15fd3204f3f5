import { describe, expect, it } from "vitest";
import { createBoundedPersistence } from "./bounded-persistence.ts";
import { defaultBrokerLimits, type BrokerLimits } from "./broker-options.ts";
import { createCounters } from "./counters.ts";
import type { KeptPacket } from "./kept-queues.ts";

interface Owner {
  readonly id: string;
}
/** What the library calls. */
interface Persistence {
  addSubscriptions(client: Owner, filters: readonly { topic: string; qos: number }[]): Promise<void>;
  subscriptionsByClient(client: Owner): Promise<readonly { topic: string }[]>;
  cleanSubscriptions(client: Owner): Promise<unknown>;
  outgoingEnqueueCombi(clients: readonly { clientId: string }[], packet: KeptPacket): Promise<void>;
  outgoingStream(client: Owner): AsyncIterable<KeptPacket>;
  incomingStorePacket(client: Owner, packet: { messageId: number }): Promise<void>;
  incomingGetPacket(client: Owner, packet: { messageId: number }): Promise<unknown>;
  incomingDelPacket(client: Owner, packet: { messageId: number }): Promise<void>;
  cleanIncoming(client: Owner): Promise<void>;
}

function open(limits: Partial<BrokerLimits>) {
  const counters = createCounters();
  const persistence = createBoundedPersistence({
    ...{ limits: { ...defaultBrokerLimits, ...limits }, counters },
    maySubscribe: (_client, filter) => !filter.startsWith("refused"),
  }) as Persistence;
  const subscribe = (id: string, ...topics: string[]) =>
    persistence.addSubscriptions(
      { id },
      topics.map((topic) => ({ topic, qos: 1 })),
    );
  const listFilters = async (id: string) => (await persistence.subscriptionsByClient({ id })).map(({ topic }) => topic);
  return { counters, persistence, subscribe, listFilters };
}

describe("what the broker keeps of sessions beyond their connections", () => {
  it("is so many sessions and no more, until one of them is given up", async () => {
    const { persistence, subscribe, listFilters } = open({ keptSessions: 2 });
    await subscribe("a", "t");
    await subscribe("b", "t");
    await expect(subscribe("c", "t")).rejects.toThrow("more than 2 sessions");
    expect(await listFilters("c")).toEqual([]);
    // Who is kept already may go on.
    await subscribe("a", "u");
    await persistence.cleanSubscriptions({ id: "a" });
    await subscribe("c", "t");
    expect(await listFilters("c")).toEqual(["t"]);
  });

  it("is so many filters of one session, in one request or in many, and the same one counts once", async () => {
    const { subscribe, listFilters } = open({ keptFilters: 3 });
    await subscribe("a", "1", "2", "3");
    await subscribe("a", "1", "2");
    await expect(subscribe("a", "4")).rejects.toThrow("more than 3 filters");
    await expect(subscribe("b", "1", "2", "3", "4")).rejects.toThrow("more than 3 filters");
    expect([await listFilters("a"), await listFilters("b")]).toEqual([["1", "2", "3"], []]);
  });

  it("is no filter that was refused, and such filters take no place", async () => {
    const { subscribe, listFilters } = open({ keptFilters: 1 });
    await subscribe("a", "refused/1", "granted", "refused/2");
    expect(await listFilters("a")).toEqual(["granted"]);
  });

  it("is the bytes that the queues admit, for many readers of one message as for each of them", async () => {
    const { counters, persistence } = open({ keptBytesPerClient: 2_000, keptBytes: 5_000 });
    const readers = ["a", "b", "c"].map((clientId) => ({ clientId }));
    for (let brokerCounter = 1; brokerCounter <= 3; brokerCounter += 1)
      await persistence.outgoingEnqueueCombi(readers, {
        ...{ cmd: "publish", brokerId: "x", brokerCounter, topic: "", payload: Buffer.alloc(744) },
      });
    const kept: number[] = [];
    for (const { clientId } of readers) {
      let packets = 0;
      for await (const _packet of persistence.outgoingStream({ id: clientId })) packets += 1;
      kept.push(packets);
    }
    expect(kept).toEqual([2, 2, 1]);
    expect(counters.droppedOffline).toBe(4);
  });

  it("A30 is so many numbers of quality 2 for a client, which its release or its end gives back", async () => {
    const { persistence } = open({ inflightQos2: 2 });
    const store = (id: string, messageId: number) => persistence.incomingStorePacket({ id }, { messageId });
    await store("a", 1);
    await store("a", 2);
    await expect(store("a", 3)).rejects.toThrow("more than 2 messages");
    await store("b", 3);
    await persistence.incomingDelPacket({ id: "a" }, { messageId: 1 });
    await expect(persistence.incomingDelPacket({ id: "a" }, { messageId: 1 })).rejects.toThrow("no such packet");
    await store("a", 3);
    await persistence.cleanIncoming({ id: "a" });
    await expect(persistence.incomingGetPacket({ id: "a" }, { messageId: 3 })).rejects.toThrow("no such packet");
    await store("a", 4);
  });

  it("A30 is numbers of no more clients than there may be", async () => {
    const { persistence } = open({ keptSessions: 1, connections: 1 });
    const store = (id: string) => persistence.incomingStorePacket({ id }, { messageId: 1 });
    await store("a");
    await store("b");
    await expect(store("c")).rejects.toThrow(/./u);
    await persistence.cleanIncoming({ id: "a" });
    await store("c");
  });
});
