import { and, eq } from "drizzle-orm";
import type { Database } from "../database.ts";
import { knownBadVersions, type KnownBadVersionRow } from "../schema/registry.ts";

export interface KnownBadRepository {
  get(model: string, version: string): Promise<KnownBadVersionRow | undefined>;
  /** A later verdict replaces the one before, and with it whoever accepted that one. */
  save(row: KnownBadVersionRow): Promise<void>;
}

export function createKnownBadRepository(db: Database): KnownBadRepository {
  return {
    get: async (model, version) =>
      (
        await db
          .select()
          .from(knownBadVersions)
          .where(and(eq(knownBadVersions.model, model), eq(knownBadVersions.version, version)))
          .limit(1)
      )[0],
    save: async (row) => {
      const { model: _model, version: _version, ...rest } = row;
      const target = [knownBadVersions.model, knownBadVersions.version];
      await db.insert(knownBadVersions).values(row).onConflictDoUpdate({ target, set: rest });
    },
  };
}
