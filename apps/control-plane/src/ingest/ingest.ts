import { setTimeout as wait } from "node:timers/promises";
import type { PeerIdentity } from "@fairlead/bus/broker";
import { hasErrorCode, toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import type { DeviceLink } from "../context.ts";
import type { HandlerServices } from "./batch.ts";
import { toDead, toReceived, type Received } from "./parse-message.ts";
import { skipGap } from "./sequence.ts";
import { storeBatch, type Acknowledgement } from "./store-batch.ts";

/** Messages gather this long before they are stored together. */
const gatherMs = 3;
const batchSize = 500;
/** Beyond this the senders are held back, and far beyond it messages are dropped: unacknowledged, so they come again. */
const holdAt = 2_000;
const dropAt = 20_000;
const diskFullRetryMs = 1_000;
const gapTimeoutMs = 30_000;
const gapCheckMs = 5_000;

export interface IngestOptions {
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly link: Pick<DeviceLink, "publish" | "isConnected">;
  readonly services: HandlerServices;
}

export interface IngestCounters {
  received: number;
  stored: number;
  dead: number;
  dropped: number;
  batches: number;
  failed: number;
}

export interface Ingest extends Service {
  readonly counters: Readonly<IngestCounters>;
  readonly isStorageFull: () => boolean;
  /** Takes one message; the promise, when there is one, holds the sender back. */
  receive(topic: string, payload: Uint8Array, identity: PeerIdentity): void | Promise<void>;
}

/** Messages → one transaction → acknowledgements. Nothing is acknowledged before it is on disk; nothing stops it. */
export function createIngest(options: IngestOptions): Ingest {
  const { clock, link, logger, store, tenant } = options;
  const counters: IngestCounters = { received: 0, stored: 0, dead: 0, dropped: 0, batches: 0, failed: 0 };
  let queue: Received[] = [];
  let flushing: Promise<void> | undefined;
  let isStopping = false;
  let isStorageFull = false;
  let gapTimer: NodeJS.Timeout | undefined;

  const acknowledge = (acks: readonly Acknowledgement[]): void => {
    for (const { device, epoch, upTo } of acks) {
      link
        .publish({ kind: "down", tenant, device, channel: "ack" }, { v: 1, epoch, upTo })
        .catch((error: unknown) => logger.debug("an acknowledgement was not sent", { error: toErrorMessage(error) }));
    }
  };
  const storeTogether = async (messages: readonly Received[]): Promise<void> => {
    acknowledge(await store.transaction((tx) => storeBatch(tx, options.services, messages)));
    counters.batches += 1;
    counters.stored += messages.length;
  };
  /** One message that no handler can take must not stop its neighbours, nor its own device. */
  const storeAlone = async (received: Received): Promise<void> => {
    try {
      await storeTogether([received]);
    } catch (error) {
      if (hasErrorCode(error, "storage_full")) throw error;
      counters.failed += 1;
      logger.error("a message cannot be stored", {
        device: received.device,
        topic: received.topic,
        error: toErrorMessage(error),
      });
      const { message } = received;
      const body = message.kind === "dead" ? null : message.body;
      const position = body !== null && "seq" in body ? { epoch: body.epoch, seq: body.seq } : null;
      const reason = toErrorMessage(error).slice(0, 500);
      await storeTogether([{ ...received, message: { kind: "dead", code: "ingest_failed", reason, position } }]);
    }
  };
  const storeSomehow = async (messages: readonly Received[]): Promise<void> => {
    try {
      await storeTogether(messages);
    } catch (error) {
      if (hasErrorCode(error, "storage_full")) throw error;
      logger.warn("a batch failed; its messages are stored one by one", { error: toErrorMessage(error) });
      for (const received of messages) await storeAlone(received);
    }
  };
  const drain = async (): Promise<void> => {
    if (!isStopping) await wait(gatherMs);
    while (queue.length > 0) {
      const batch = queue.slice(0, batchSize);
      try {
        await storeSomehow(batch);
        isStorageFull = false;
        queue = queue.slice(batch.length);
      } catch (error) {
        isStorageFull = hasErrorCode(error, "storage_full");
        logger.error("telemetry cannot be stored; devices keep it", { error: toErrorMessage(error) });
        if (isStopping) return;
        await wait(diskFullRetryMs);
      }
    }
  };
  const flush = (): Promise<void> => {
    flushing ??= drain().finally(() => {
      flushing = undefined;
      if (queue.length > 0 && !isStopping) void flush();
    });
    return flushing;
  };
  const declareGaps = async (): Promise<void> => {
    const dueMs = clock.nowMs() - gapTimeoutMs;
    for (const gap of await store.read.sequences.listWithGap()) {
      if ((gap.gapSinceMs ?? dueMs) > dueMs || !link.isConnected(gap.device)) continue;
      const ack = await store.transaction(async (tx) => {
        const row = await tx.sequences.getEpoch(gap.device, gap.epoch);
        if (row === undefined) return undefined;
        const ahead = new Set(await tx.sequences.listAhead(gap.device, gap.epoch));
        const skipped = skipGap(row, ahead);
        const after = { ...skipped, gapSinceMs: ahead.size === 0 ? null : clock.nowMs() };
        await tx.sequences.saveEpoch(after);
        await tx.sequences.removeAheadUpTo({ ...after, seq: after.storedUpTo });
        await options.services.stream.emit(tx, "device", gap.device);
        return { device: after.device, epoch: after.epoch, upTo: after.storedUpTo };
      });
      if (ack !== undefined) acknowledge([ack]);
    }
  };

  return {
    name: "ingest",
    counters,
    isStorageFull: () => isStorageFull,
    receive: (topic, payload, identity) => {
      counters.received += 1;
      if (isStopping || queue.length >= dropAt) {
        counters.dropped += 1;
        return undefined;
      }
      const { device } = identity;
      const received = toReceived({
        device,
        address: identity.address ?? null,
        topic,
        payload,
        receivedMs: clock.nowMs(),
      });
      const claimed = received.message.kind === "birth" ? received.message.body : undefined;
      const isForeign = claimed !== undefined && (claimed.device !== device || claimed.tenant !== identity.tenant);
      const foreign = { code: "identity_mismatch", message: "the birth names another device than the certificate" };
      const taken = isForeign ? { ...received, message: toDead(foreign, payload) } : received;
      if (taken.message.kind === "dead") counters.dead += 1;
      queue.push(taken);
      const stored = flush();
      return queue.length >= holdAt ? stored : undefined;
    },
    start: async () => {
      gapTimer = setInterval(() => {
        declareGaps().catch((error: unknown) =>
          logger.error("gaps were not checked", { error: toErrorMessage(error) }),
        );
      }, gapCheckMs);
      gapTimer.unref();
    },
    stop: async () => {
      clearInterval(gapTimer);
      isStopping = true;
      await (flushing ?? (queue.length > 0 ? flush() : Promise.resolve()));
    },
  };
}
