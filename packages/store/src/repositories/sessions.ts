import { asc, eq, inArray, lte } from "drizzle-orm";
import type { Database } from "../database.ts";
import { sessions, type SessionRow } from "../schema/sessions.ts";

export interface SessionRepository {
  add(session: SessionRow): Promise<void>;
  get(sessionHash: string): Promise<SessionRow | undefined>;
  /** Oldest first. */
  listOf(actor: string): Promise<SessionRow[]>;
  remove(sessionHashes: readonly string[]): Promise<void>;
  removeExpired(nowMs: number): Promise<void>;
}

export function createSessionRepository(db: Database): SessionRepository {
  return {
    add: async (session) => {
      await db.insert(sessions).values(session);
    },
    get: async (hash) => (await db.select().from(sessions).where(eq(sessions.sessionHash, hash)).limit(1))[0],
    listOf: async (actor) =>
      await db.select().from(sessions).where(eq(sessions.actor, actor)).orderBy(asc(sessions.createdAtMs)),
    remove: async (hashes) => {
      if (hashes.length > 0) await db.delete(sessions).where(inArray(sessions.sessionHash, [...hashes]));
    },
    removeExpired: async (nowMs) => {
      await db.delete(sessions).where(lte(sessions.expiresAtMs, nowMs));
    },
  };
}
