import { and, asc, desc, eq, gt, gte, lt, lte } from "drizzle-orm";
import type { AuditEntry } from "@fairlead/protocol";
import type { Database } from "../database.ts";
import {
  audit,
  idempotencyKeys,
  settings,
  streamEvents,
  type IdempotencyKey,
  type StreamEventRow,
} from "../schema/audit.ts";

export interface AuditRepository {
  getLast(): Promise<AuditEntry | undefined>;
  /** The entry is sealed already; its index must follow the last one. */
  add(entry: AuditEntry): Promise<void>;
  /** Newest first, beginning before `before`. */
  list(query: { readonly before?: number; readonly subject?: string; readonly limit: number }): Promise<AuditEntry[]>;
  /** What was done to one subject, oldest first, beginning after the index `after`. */
  listOf(subject: string, page: { readonly after?: number | undefined; readonly limit: number }): Promise<AuditEntry[]>;
  /** Oldest first from `from`, for verification in pieces. */
  listFrom(from: number, limit: number): Promise<AuditEntry[]>;
}

export function createAuditRepository(db: Database): AuditRepository {
  return {
    getLast: async () => (await db.select().from(audit).orderBy(desc(audit.index)).limit(1))[0],
    add: async (entry) => {
      await db.insert(audit).values(entry);
    },
    list: async (query) =>
      await db
        .select()
        .from(audit)
        .where(
          and(
            query.before === undefined ? undefined : lt(audit.index, query.before),
            query.subject === undefined ? undefined : eq(audit.subject, query.subject),
          ),
        )
        .orderBy(desc(audit.index))
        .limit(query.limit),
    listOf: async (subject, { after, limit }) =>
      await db
        .select()
        .from(audit)
        .where(and(eq(audit.subject, subject), after === undefined ? undefined : gt(audit.index, after)))
        .orderBy(asc(audit.index))
        .limit(limit),
    listFrom: async (from, limit) =>
      await db.select().from(audit).where(gte(audit.index, from)).orderBy(asc(audit.index)).limit(limit),
  };
}

export interface StreamEventRepository {
  /** @returns the position of the event */
  add(event: Omit<StreamEventRow, "id">, keep: number): Promise<number>;
  listAfter(position: number, limit: number): Promise<StreamEventRow[]>;
  /** First and last position held; null when there is none. */
  getRange(): Promise<{ readonly first: number; readonly last: number } | null>;
}

export function createStreamEventRepository(db: Database): StreamEventRepository {
  return {
    add: async (event, keep) => {
      const [row] = await db.insert(streamEvents).values(event).returning({ id: streamEvents.id });
      const id = row?.id ?? 0;
      await db.delete(streamEvents).where(lte(streamEvents.id, id - keep));
      return id;
    },
    listAfter: async (position, limit) =>
      await db
        .select()
        .from(streamEvents)
        .where(gt(streamEvents.id, position))
        .orderBy(asc(streamEvents.id))
        .limit(limit),
    getRange: async () => {
      const [first] = await db
        .select({ id: streamEvents.id })
        .from(streamEvents)
        .orderBy(asc(streamEvents.id))
        .limit(1);
      const [last] = await db
        .select({ id: streamEvents.id })
        .from(streamEvents)
        .orderBy(desc(streamEvents.id))
        .limit(1);
      return first === undefined || last === undefined ? null : { first: first.id, last: last.id };
    },
  };
}

/** A write with an `Idempotency-Key`, as it was noted before it began and again with its answer. */
export type KeyedWrite =
  | ({ readonly kind: "begun" } & Pick<IdempotencyKey, "requestHash">)
  | ({ readonly kind: "answered" } & Pick<IdempotencyKey, "requestHash" | "status" | "answer">);

export interface IdempotencyRepository {
  find(actor: string, key: string): Promise<KeyedWrite | undefined>;
  /** The pair of actor and key must be new. */
  begin(row: Omit<IdempotencyKey, "status" | "answer">): Promise<void>;
  answer(row: IdempotencyKey): Promise<void>;
  remove(actor: string, key: string): Promise<void>;
  removeBefore(timeMs: number): Promise<void>;
}

/** In place of the status of an answer that is not there yet. */
const begunStatus = 0;

export function createIdempotencyRepository(db: Database): IdempotencyRepository {
  const only = (actor: string, key: string) => and(eq(idempotencyKeys.actor, actor), eq(idempotencyKeys.key, key));
  return {
    find: async (actor, key) => {
      const [row] = await db.select().from(idempotencyKeys).where(only(actor, key)).limit(1);
      if (row === undefined) return undefined;
      const { requestHash, status, answer } = row;
      return status === begunStatus
        ? { kind: "begun", requestHash }
        : { kind: "answered", requestHash, status, answer };
    },
    begin: async (row) => {
      await db.insert(idempotencyKeys).values({ ...row, status: begunStatus, answer: { body: null, etag: null } });
    },
    answer: async ({ actor, key, ...row }) => {
      await db.update(idempotencyKeys).set(row).where(only(actor, key));
    },
    remove: async (actor, key) => {
      await db.delete(idempotencyKeys).where(only(actor, key));
    },
    removeBefore: async (timeMs) => {
      await db.delete(idempotencyKeys).where(lt(idempotencyKeys.tsMs, timeMs));
    },
  };
}

export interface SettingRepository {
  get(name: string): Promise<unknown>;
  set(name: string, value: unknown): Promise<void>;
}

export function createSettingRepository(db: Database): SettingRepository {
  return {
    get: async (name) => (await db.select().from(settings).where(eq(settings.name, name)).limit(1))[0]?.value,
    set: async (name, value) => {
      await db.insert(settings).values({ name, value }).onConflictDoUpdate({ target: settings.name, set: { value } });
    },
  };
}
