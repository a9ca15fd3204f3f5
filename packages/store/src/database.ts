import type { BetterSQLite3Database } from "drizzle-orm/better-sqlite3";

/** What a repository is written against: select, insert, update, delete, upsert, count. Always `await` the result. */
export type Database = Pick<
  BetterSQLite3Database,
  "select" | "selectDistinct" | "insert" | "update" | "delete" | "$count"
>;
