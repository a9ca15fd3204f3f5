import { asc, eq, gt } from "drizzle-orm";
import type { Database } from "../database.ts";
import { endorsements, type EndorsementRow } from "../schema/endorsements.ts";

export interface EndorsementRepository {
  add(endorsement: EndorsementRow): Promise<void>;
  get(fingerprint: string): Promise<EndorsementRow | undefined>;
  /** Ordered by fingerprint, beginning after `after`. */
  list(page: { readonly after?: string; readonly limit: number }): Promise<EndorsementRow[]>;
  /** Says whose it is from now on. */
  bind(fingerprint: string, device: string): Promise<void>;
  remove(fingerprint: string): Promise<void>;
}

export function createEndorsementRepository(db: Database): EndorsementRepository {
  return {
    add: async (endorsement) => {
      await db.insert(endorsements).values(endorsement);
    },
    get: async (fingerprint) =>
      (await db.select().from(endorsements).where(eq(endorsements.fingerprint, fingerprint)).limit(1))[0],
    list: async ({ after = "", limit }) =>
      await db
        .select()
        .from(endorsements)
        .where(gt(endorsements.fingerprint, after))
        .orderBy(asc(endorsements.fingerprint))
        .limit(limit),
    bind: async (fingerprint, device) => {
      await db.update(endorsements).set({ device }).where(eq(endorsements.fingerprint, fingerprint));
    },
    remove: async (fingerprint) => {
      await db.delete(endorsements).where(eq(endorsements.fingerprint, fingerprint));
    },
  };
}
