import { Readable } from "node:stream";
import * as persistence from "aedes-persistence";
import type { BrokerLimits } from "./broker-options.ts";
import type { Counters } from "./counters.ts";
import { KeptQueues, type KeptPacket } from "./kept-queues.ts";

interface Owner {
  readonly id: string;
}
interface Filter {
  readonly topic: string;
}

/** The part of the library's store that is bounded here (its promises; its types tell of callbacks only). */
interface Store {
  addSubscriptions(client: Owner, filters: readonly Filter[]): Promise<void>;
  subscriptionsByClient(client: Owner): Promise<readonly Filter[]>;
  countOffline(): Promise<{ readonly clientsCount: number }>;
}

export interface BoundedPersistenceOptions {
  readonly limits: BrokerLimits;
  readonly counters: Counters;
  readonly maySubscribe: (client: Owner, filter: string) => boolean;
}

/**
 * The library's store in memory with a bound on everything that a client makes it keep beyond its connection. Queues and
 * numbers of quality 2 are kept here: the library's have no bound, keep whole messages where a number will do, and mix
 * up two exchanges of quality 2 that overlap. Retained messages are bounded where they are admitted.
 */
export function createBoundedPersistence({ limits, counters, maySubscribe }: BoundedPersistenceOptions): object {
  // The package's types do not tell of its one function.
  const { default: memory } = persistence as unknown as { readonly default: () => Store };
  const base = memory();
  const addSubscriptions = base.addSubscriptions.bind(base);
  const queues = new KeptQueues({
    bytesPerClient: limits.keptBytesPerClient,
    bytesInAll: limits.keptBytes,
    onDrop: () => void (counters.droppedOffline += 1),
  });
  /** Numbers of quality 2 that were taken and not released yet. */
  const incoming = new Map<string, Set<number>>();

  return Object.assign(base, {
    async addSubscriptions(client: Owner, filters: readonly Filter[]) {
      // The library hands over the whole packet, with the filters that were refused.
      const granted = filters.filter((filter) => maySubscribe(client, filter.topic));
      const own = new Set((await base.subscriptionsByClient(client)).map((filter) => filter.topic));
      if (own.size === 0 && (await base.countOffline()).clientsCount >= limits.keptSessions)
        throw new Error(`more than ${limits.keptSessions} sessions would be kept`);
      for (const filter of granted) own.add(filter.topic);
      if (own.size > limits.keptFilters) throw new Error(`more than ${limits.keptFilters} filters of one session`);
      await addSubscriptions(client, granted);
    },
    async outgoingEnqueue(client: { readonly clientId: string }, packet: KeptPacket) {
      queues.add(client.clientId, packet);
    },
    async outgoingEnqueueCombi(clients: readonly { readonly clientId: string }[], packet: KeptPacket) {
      for (const client of clients) queues.add(client.clientId, packet);
    },
    async outgoingUpdate(client: Owner, packet: KeptPacket) {
      queues.update(client.id, packet);
    },
    async outgoingClearMessageId(client: Owner, packet: KeptPacket) {
      return queues.remove(client.id, packet.messageId);
    },
    outgoingStream: (client: Owner) => Readable.from(queues.list(client.id)),
    async incomingStorePacket(client: Owner, { messageId }: { readonly messageId: number }) {
      const numbers = incoming.get(client.id) ?? new Set();
      if (numbers.size >= limits.inflightQos2 || incoming.size >= limits.keptSessions + limits.connections)
        throw new Error(`more than ${limits.inflightQos2} messages of quality 2 await their release`);
      incoming.set(client.id, numbers.add(messageId));
    },
    async incomingGetPacket(client: Owner, { messageId }: { readonly messageId: number }) {
      if (incoming.get(client.id)?.has(messageId) !== true) throw new Error("no such packet");
      return { messageId };
    },
    async incomingDelPacket(client: Owner, { messageId }: { readonly messageId: number }) {
      const numbers = incoming.get(client.id);
      if (numbers?.delete(messageId) !== true) throw new Error("no such packet");
      if (numbers.size === 0) incoming.delete(client.id);
    },
    async cleanIncoming(client: Owner) {
      incoming.delete(client.id);
    },
  });
}
