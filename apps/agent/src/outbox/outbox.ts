import { silentLogger, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Ack } from "@fairlead/protocol";
import { toWindowCount } from "./merge-telemetry.ts";
import { openOutboxDatabase, toSqliteCode, type OutboxOrigin } from "./outbox-database.ts";
import { buildMessage, toEventBody, type MessageStamp, type OutboxBodies, type OutboxKind } from "./outbox-message.ts";
import { openReservedRevision, type ReservedRevision } from "./reserved-revision.ts";
import { shrinkTelemetry } from "./shrink.ts";
import { withdrawUnsendable } from "./unsendable.ts";

export interface OutboxItem {
  readonly seq: number;
  readonly kind: OutboxKind;
  readonly payload: Uint8Array;
}

export type OutboxErrorCode = "item_invalid" | "item_too_large" | "outbox_full" | "disk_full" | "storage_failed";

/** `stored` means on the disk: it survives a power cut. */
export type AppendResult =
  | { readonly kind: "stored"; readonly seq: number }
  | { readonly kind: "refused"; readonly code: OutboxErrorCode; readonly reason: string };

export type AcknowledgeResult =
  | { readonly kind: "acknowledged"; readonly removed: number }
  | { readonly kind: "ignored"; readonly code: "other_epoch" | "beyond_last" | "storage_failed" };

export interface OutboxOptions {
  readonly path: string;
  readonly clock: Clock;
  /** A new random epoch, 8 to 64 of `0-9a-z`; asked when the file is created or replaced. */
  readonly createEpoch: () => string;
  /** `source` of the events that the outbox itself writes. */
  readonly source: string;
  readonly capacityBytes?: number;
  readonly maxFileBytes?: number;
  readonly logger?: Logger;
}

/**
 * The durable queue of everything that goes up. Sequence numbers count from 1 without holes within an epoch and are
 * never used twice; only the plane's acknowledgement removes anything.
 */
export interface Outbox {
  readonly epoch: string;
  readonly origin: OutboxOrigin;
  readonly lastSeq: number;
  append<Kind extends OutboxKind>(kind: Kind, body: OutboxBodies[Kind]): AppendResult;
  acknowledge(ack: Pick<Ack, "epoch" | "upTo">): AcknowledgeResult;
  /** Items after a sequence number, in order; at least one when there is any, then up to the byte limit. */
  pending(afterSeq: number, limitBytes: number): readonly OutboxItem[];
  /** To be called before items leave the device: from then on they are never merged. */
  markSent(upTo: number): void;
  readonly reservedRevision: ReservedRevision;
  onAppend(listener: () => void): () => void;
  stats(): {
    readonly items: number;
    readonly bytes: number;
    readonly lostItems: number;
    readonly capacityBytes: number;
  };
  close(): void;
}

/** @throws CodedError `outbox_open_failed` */
export function openOutbox(options: OutboxOptions): Outbox {
  const { clock, source } = options;
  const logger = options.logger ?? silentLogger;
  const capacityBytes = options.capacityBytes ?? 32 * 1_048_576;
  // Events, evidence and replies are never given up for telemetry: they may use a reserve of a quarter.
  const reservedBytes = capacityBytes + Math.ceil(capacityBytes / 4);
  const opened = openOutboxDatabase({
    path: options.path,
    createEpoch: options.createEpoch,
    maxFileBytes: options.maxFileBytes ?? 4 * capacityBytes,
    nowMs: clock.nowMs(),
  });
  const { database, epoch, origin } = opened;
  const insert = database.prepare("INSERT INTO items VALUES (?, ?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM items WHERE seq <= ?");
  const sum = database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes, count(*) AS items FROM items");
  const after = database.prepare("SELECT seq, kind, payload, bytes FROM items WHERE seq > ? ORDER BY seq LIMIT 256");
  const saveSent = database.prepare("UPDATE meta SET value = ? WHERE key = 'sent'");
  const listeners = new Set<() => void>();
  let { lastSeq, sentUpTo, bytes } = opened;
  let lostItems = 0;
  let unreportedLoss = 0;
  let sendable = false;

  function inTransaction<Value>(work: () => Value): Value {
    database.exec("BEGIN IMMEDIATE");
    try {
      const value = work();
      database.exec("COMMIT");
      return value;
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      throw error;
    }
  }

  const toStamp = (): MessageStamp => ({
    epoch,
    seq: lastSeq + 1,
    tsMs: clock.nowMs(),
    uptimeMs: clock.monotonicMs(),
  });

  function lose(code: OutboxErrorCode, reason: string): AppendResult {
    lostItems += 1;
    unreportedLoss += 1;
    logger.warn("the outbox refused an item", { code, reason });
    return { kind: "refused", code, reason };
  }

  function store<Kind extends OutboxKind>(kind: Kind, body: OutboxBodies[Kind], stamp: MessageStamp): AppendResult {
    const built = buildMessage(kind, body, stamp);
    if (built.kind === "refused") return lose(built.code, built.reason);
    const { payload } = built;
    const size = payload.byteLength;
    const limitBytes = kind === "telemetry" ? capacityBytes : reservedBytes;
    try {
      const stored = inTransaction(() => {
        let total = bytes;
        if (total + size > capacityBytes) {
          // A tenth more than needed, so that a full outbox is not searched at every append.
          const wantedBytes = total + size - capacityBytes + Math.floor(capacityBytes / 10);
          const neededBytes = total + size - limitBytes;
          const monotonicMs = () => clock.monotonicMs();
          total -= shrinkTelemetry(database, { neededBytes, wantedBytes, sentUpTo, source, monotonicMs });
        }
        if (total + size > limitBytes) return { total, fits: false };
        const windows = kind === "telemetry" ? toWindowCount((body as OutboxBodies["telemetry"]).windows) : 0;
        insert.run(stamp.seq, kind, payload, size, windows);
        return { total: total + size, fits: true };
      });
      bytes = stored.total;
      if (!stored.fits) return lose("outbox_full", `${bytes} of ${capacityBytes} bytes wait for the plane`);
      lastSeq = stamp.seq;
      return { kind: "stored", seq: stamp.seq };
    } catch (error) {
      // SQLITE_FULL is 13; the disk may also be full for the operating system (SQLITE_IOERR, 10).
      const code = toSqliteCode(error) === 13 ? "disk_full" : "storage_failed";
      return lose(code, toErrorMessage(error));
    }
  }

  /** The loss is itself reported, as soon as something can be stored again. */
  function reportLoss(): void {
    if (unreportedLoss === 0) return;
    const stamp = toStamp();
    const dropped = unreportedLoss;
    const data = { kind: "outbox-merged" as const, droppedWindows: dropped, reason: "the outbox could not store them" };
    if (store("event", toEventBody(data, stamp, source), stamp).kind === "stored") {
      unreportedLoss -= dropped;
    } else {
      lostItems -= 1;
      unreportedLoss -= 1;
    }
  }

  /** An agent of before may have left some. A full disk puts this off to the next time that items are asked for. */
  function makeSendable(): void {
    if (sendable) return;
    const now = { epoch, tsMs: clock.nowMs(), uptimeMs: clock.monotonicMs() };
    try {
      const withdrawn = inTransaction(() => withdrawUnsendable(database, { source, now }));
      sendable = true;
      if (withdrawn === 0) return;
      lostItems += withdrawn;
      bytes = Number(sum.get()?.["bytes"] ?? 0);
      logger.warn("items that no message can hold were given up", { withdrawn });
    } catch (error) {
      logger.warn("items that no message can hold could not be given up", { error: toErrorMessage(error) });
    }
  }
  makeSendable();

  return {
    epoch,
    origin,
    get lastSeq() {
      return lastSeq;
    },
    append(kind, body) {
      const result = store(kind, body, toStamp());
      if (result.kind === "stored") {
        reportLoss();
        for (const listener of [...listeners]) listener();
      }
      return result;
    },
    acknowledge(ack) {
      if (ack.epoch !== epoch) return { kind: "ignored", code: "other_epoch" };
      if (ack.upTo > lastSeq) {
        logger.warn("an acknowledgement is beyond the last sequence number", { upTo: ack.upTo, lastSeq });
        return { kind: "ignored", code: "beyond_last" };
      }
      try {
        const removed = Number(remove.run(ack.upTo).changes);
        if (removed > 0) bytes = Number(sum.get()?.["bytes"] ?? 0);
        return { kind: "acknowledged", removed };
      } catch (error) {
        logger.warn("acknowledged items could not be removed", { error: toErrorMessage(error) });
        return { kind: "ignored", code: "storage_failed" };
      }
    },
    pending(afterSeq, limitBytes) {
      makeSendable();
      const items: OutboxItem[] = [];
      let total = 0;
      for (const row of after.iterate(afterSeq)) {
        total += Number(row["bytes"]);
        if (items.length > 0 && total > limitBytes) break;
        items.push({
          seq: Number(row["seq"]),
          kind: row["kind"] as OutboxKind,
          payload: row["payload"] as Uint8Array,
        });
      }
      return items;
    },
    markSent(upTo) {
      if (upTo <= sentUpTo) return;
      saveSent.run(String(upTo));
      sentUpTo = upTo;
    },
    reservedRevision: openReservedRevision(database),
    onAppend(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stats: () => ({ items: Number(sum.get()?.["items"] ?? 0), bytes, lostItems, capacityBytes }),
    close: () => database.close(),
  };
}
