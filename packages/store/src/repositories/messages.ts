import { and, asc, desc, eq, gte, inArray, lt, lte, sql } from "drizzle-orm";
import type { EventData } from "@fairlead/protocol";
import type { Database } from "../database.ts";
import {
  deadLetters,
  deviceEpochs,
  events,
  evidence,
  receivedAhead,
  type DeadLetter,
  type DeviceEpoch,
  type EventRow,
  type EvidenceRow,
} from "../schema/messages.ts";

export interface SequenceRepository {
  getEpoch(device: string, epoch: string): Promise<DeviceEpoch | undefined>;
  listEpochs(device: string): Promise<DeviceEpoch[]>;
  listWithGap(): Promise<DeviceEpoch[]>;
  saveEpoch(row: DeviceEpoch): Promise<void>;
  /** Sequence numbers stored beyond the contiguous part, ascending. */
  listAhead(device: string, epoch: string): Promise<number[]>;
  addAhead(row: { readonly device: string; readonly epoch: string; readonly seq: number }): Promise<void>;
  removeAheadUpTo(row: { readonly device: string; readonly epoch: string; readonly seq: number }): Promise<void>;
  /** Keeps this epoch and the `others` touched last, so that a device cannot fill the table. */
  forgetOldEpochs(kept: { readonly device: string; readonly epoch: string }, others: number): Promise<void>;
}

export function createSequenceRepository(db: Database): SequenceRepository {
  const isEpoch = (device: string, epoch: string) =>
    and(eq(deviceEpochs.device, device), eq(deviceEpochs.epoch, epoch));
  const isAhead = (device: string, epoch: string) =>
    and(eq(receivedAhead.device, device), eq(receivedAhead.epoch, epoch));
  const listEpochs = async (device: string) =>
    await db.select().from(deviceEpochs).where(eq(deviceEpochs.device, device)).orderBy(desc(deviceEpochs.touchedAtMs));
  return {
    getEpoch: async (device, epoch) => (await db.select().from(deviceEpochs).where(isEpoch(device, epoch)).limit(1))[0],
    listEpochs,
    listWithGap: async () => await db.select().from(deviceEpochs).where(gte(deviceEpochs.gapSinceMs, 0)),
    saveEpoch: async (row) => {
      await db
        .insert(deviceEpochs)
        .values(row)
        .onConflictDoUpdate({ target: [deviceEpochs.device, deviceEpochs.epoch], set: row });
    },
    listAhead: async (device, epoch) => {
      const rows = await db
        .select({ seq: receivedAhead.seq })
        .from(receivedAhead)
        .where(isAhead(device, epoch))
        .orderBy(asc(receivedAhead.seq));
      return rows.map((row) => row.seq);
    },
    addAhead: async (row) => {
      await db.insert(receivedAhead).values(row).onConflictDoNothing();
    },
    removeAheadUpTo: async ({ device, epoch, seq }) => {
      await db.delete(receivedAhead).where(and(isAhead(device, epoch), lte(receivedAhead.seq, seq)));
    },
    forgetOldEpochs: async ({ device, epoch }, others) => {
      const rest = (await listEpochs(device)).filter((row) => row.epoch !== epoch);
      for (const row of rest.slice(others)) {
        await db.delete(deviceEpochs).where(isEpoch(device, row.epoch));
        await db.delete(receivedAhead).where(isAhead(device, row.epoch));
      }
    },
  };
}

/** A place in a device's queue. */
export interface StoredAt {
  readonly device: string;
  readonly epoch: string;
  readonly seq: number;
}

export interface EventRepository {
  add(row: EventRow): Promise<void>;
  find(at: StoredAt): Promise<EventRow | undefined>;
  /** Newest first. */
  list(query: {
    readonly device?: string;
    readonly kind?: EventData["kind"];
    /** By receipt. */
    readonly fromMs?: number;
    readonly limit: number;
  }): Promise<EventRow[]>;
  /**
   * Crashes and hangs by what they blame, the newest `perBuild` of each device, slot and build: one device's flood hides
   * nothing of another, nor one build's of another.
   */
  listServingCrashes(query: {
    /** By receipt. */
    readonly fromMs: number;
    readonly perBuild: number;
  }): Promise<ServingCrashRow[]>;
  removeReceivedBefore(timeMs: number): Promise<void>;
}

export interface ServingCrashRow {
  readonly device: string;
  readonly slot: string;
  readonly buildDigest: string;
  readonly tsMs: number;
  readonly receivedMs: number;
}

export function createEventRepository(db: Database): EventRepository {
  return {
    add: async (row) => {
      await db.insert(events).values(row).onConflictDoNothing();
    },
    find: async ({ device, epoch, seq }) => {
      const isIt = and(eq(events.device, device), eq(events.epoch, epoch), eq(events.seq, seq));
      return (await db.select().from(events).where(isIt).limit(1))[0];
    },
    list: async (query) =>
      await db
        .select()
        .from(events)
        .where(
          and(
            query.device === undefined ? undefined : eq(events.device, query.device),
            query.kind === undefined ? undefined : eq(events.kind, query.kind),
            query.fromMs === undefined ? undefined : gte(events.receivedMs, query.fromMs),
          ),
        )
        .orderBy(desc(events.receivedMs), desc(events.seq))
        .limit(query.limit),
    listServingCrashes: async ({ fromMs, perBuild }) => {
      const slot = sql<string>`json_extract(${events.event}, '$.data.slot')`;
      const buildDigest = sql<string>`json_extract(${events.event}, '$.data.buildDigest')`;
      // A device sends what waited with it late and in order, so the newest is not always what came last.
      const newestFirst = sql`min(${events.receivedMs}, ${events.tsMs}) desc, ${events.seq} desc`;
      const place = sql<number>`row_number() over (partition by ${events.device}, ${slot}, ${buildDigest} order by ${newestFirst})`;
      const ranked = db
        .select({
          ...{ device: events.device, tsMs: events.tsMs, receivedMs: events.receivedMs },
          ...{ slot: slot.as("slot"), buildDigest: buildDigest.as("buildDigest"), place: place.as("place") },
        })
        .from(events)
        .where(
          and(
            inArray(events.kind, ["serving-crashed", "serving-hung"]),
            gte(events.receivedMs, fromMs),
            sql`${buildDigest} is not null`,
          ),
        )
        .as("ranked");
      const { device, tsMs, receivedMs } = ranked;
      return await db
        .select({ device, tsMs, receivedMs, slot: ranked.slot, buildDigest: ranked.buildDigest })
        .from(ranked)
        .where(lte(ranked.place, perBuild));
    },
    removeReceivedBefore: async (timeMs) => {
      await db.delete(events).where(lt(events.receivedMs, timeMs));
    },
  };
}

export interface EvidenceRepository {
  /** Keeps the last `keep` of the device. */
  add(row: EvidenceRow, keep: number): Promise<void>;
  find(at: StoredAt): Promise<EvidenceRow | undefined>;
  /** Newest first. */
  list(device: string, limit: number): Promise<EvidenceRow[]>;
}

export function createEvidenceRepository(db: Database): EvidenceRepository {
  return {
    add: async (row, keep) => {
      await db.insert(evidence).values(row).onConflictDoNothing();
      const [oldest] = await db
        .select({ receivedMs: evidence.receivedMs })
        .from(evidence)
        .where(eq(evidence.device, row.device))
        .orderBy(desc(evidence.receivedMs))
        .limit(1)
        .offset(keep);
      if (oldest === undefined) return;
      await db
        .delete(evidence)
        .where(and(eq(evidence.device, row.device), lte(evidence.receivedMs, oldest.receivedMs)));
    },
    find: async ({ device, epoch, seq }) => {
      const isIt = and(eq(evidence.device, device), eq(evidence.epoch, epoch), eq(evidence.seq, seq));
      return (await db.select().from(evidence).where(isIt).limit(1))[0];
    },
    list: async (device, limit) =>
      await db
        .select()
        .from(evidence)
        .where(eq(evidence.device, device))
        .orderBy(desc(evidence.receivedMs))
        .limit(limit),
  };
}

export interface DeadLetterRepository {
  /** Keeps the last `keep` of the device. */
  add(letter: Omit<DeadLetter, "id">, keep: number): Promise<void>;
  list(device: string, limit: number): Promise<DeadLetter[]>;
}

export function createDeadLetterRepository(db: Database): DeadLetterRepository {
  return {
    add: async (letter, keep) => {
      await db.insert(deadLetters).values(letter);
      const [oldest] = await db
        .select({ id: deadLetters.id })
        .from(deadLetters)
        .where(eq(deadLetters.device, letter.device))
        .orderBy(desc(deadLetters.id))
        .limit(1)
        .offset(keep);
      if (oldest === undefined) return;
      await db.delete(deadLetters).where(and(eq(deadLetters.device, letter.device), lte(deadLetters.id, oldest.id)));
    },
    list: async (device, limit) =>
      await db
        .select()
        .from(deadLetters)
        .where(eq(deadLetters.device, device))
        .orderBy(desc(deadLetters.id))
        .limit(limit),
  };
}
