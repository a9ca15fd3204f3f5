import { and, desc, eq, gt, lt, sql } from "drizzle-orm";
import type { Database } from "../database.ts";
import { enrolmentTokens, type EnrolmentToken } from "../schema/enrolment-tokens.ts";

export interface EnrolmentTokenRepository {
  add(token: EnrolmentToken): Promise<void>;
  findByHash(hash: string): Promise<EnrolmentToken | undefined>;
  /** Takes one use; false when none is left or the token has expired. Two requests can never take the same use. */
  takeUse(tokenId: string, nowMs: number): Promise<boolean>;
  /** Newest first. */
  list(): Promise<EnrolmentToken[]>;
  /** Takes every use that is left. */
  endUses(tokenId: string): Promise<void>;
  removeExpiredBefore(timeMs: number): Promise<void>;
}

export function createEnrolmentTokenRepository(db: Database): EnrolmentTokenRepository {
  return {
    add: async (token) => {
      await db.insert(enrolmentTokens).values(token);
    },
    findByHash: async (hash) =>
      (await db.select().from(enrolmentTokens).where(eq(enrolmentTokens.hash, hash)).limit(1))[0],
    takeUse: async (tokenId, nowMs) => {
      const open = and(
        eq(enrolmentTokens.tokenId, tokenId),
        gt(enrolmentTokens.usesLeft, 0),
        gt(enrolmentTokens.expiresAtMs, nowMs),
      );
      const taken = await db
        .update(enrolmentTokens)
        .set({ usesLeft: sql`${enrolmentTokens.usesLeft} - 1` })
        .where(open)
        .returning({ tokenId: enrolmentTokens.tokenId });
      return taken.length === 1;
    },
    list: async () => await db.select().from(enrolmentTokens).orderBy(desc(enrolmentTokens.createdAtMs)),
    endUses: async (tokenId) => {
      await db.update(enrolmentTokens).set({ usesLeft: 0 }).where(eq(enrolmentTokens.tokenId, tokenId));
    },
    removeExpiredBefore: async (timeMs) => {
      await db.delete(enrolmentTokens).where(lt(enrolmentTokens.expiresAtMs, timeMs));
    },
  };
}
