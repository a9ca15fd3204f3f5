import { desc, eq, inArray } from "drizzle-orm";
import type { Database } from "../database.ts";
import { trustMetadata, type TrustMetadataRow } from "../schema/registry.ts";

export interface TrustMetadataRepository {
  get(name: string): Promise<TrustMetadataRow | undefined>;
  /** The newest version of one role. */
  getNewest(role: string): Promise<TrustMetadataRow | undefined>;
  /** Every role's newest version; of roles that are no longer delegated to as well. */
  listNewest(): Promise<TrustMetadataRow[]>;
  /** Names of everything that is served, with role and version, and not the texts. */
  listNames(): Promise<{ readonly name: string; readonly role: string; readonly version: number }[]>;
  add(row: TrustMetadataRow): Promise<void>;
  /** For the timestamp, which has one name for all of its versions. */
  replace(row: TrustMetadataRow): Promise<void>;
  /** Documents that no device asks for any more. */
  remove(names: readonly string[]): Promise<void>;
}

export function createTrustMetadataRepository(db: Database): TrustMetadataRepository {
  const newestOf = async (role: string) =>
    (
      await db
        .select()
        .from(trustMetadata)
        .where(eq(trustMetadata.role, role))
        .orderBy(desc(trustMetadata.version))
        .limit(1)
    )[0];
  return {
    get: async (name) => (await db.select().from(trustMetadata).where(eq(trustMetadata.name, name)).limit(1))[0],
    getNewest: newestOf,
    listNewest: async () => {
      const roles = await db.selectDistinct({ role: trustMetadata.role }).from(trustMetadata);
      const rows: TrustMetadataRow[] = [];
      for (const { role } of roles) {
        const row = await newestOf(role);
        if (row !== undefined) rows.push(row);
      }
      return rows;
    },
    listNames: async () =>
      await db
        .select({ name: trustMetadata.name, role: trustMetadata.role, version: trustMetadata.version })
        .from(trustMetadata),
    add: async (row) => {
      await db.insert(trustMetadata).values(row);
    },
    replace: async (row) => {
      const { name: _, ...rest } = row;
      await db.insert(trustMetadata).values(row).onConflictDoUpdate({ target: trustMetadata.name, set: rest });
    },
    remove: async (names) => {
      if (names.length > 0) await db.delete(trustMetadata).where(inArray(trustMetadata.name, names.slice(0, 500)));
    },
  };
}
