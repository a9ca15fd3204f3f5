import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { CodedError } from "@fairlead/kernel";
import type BetterSqlite3 from "better-sqlite3";
import type { StoreErrorCode } from "./errors.ts";

const folder = new URL("../migrations/", import.meta.url);
/** "FLP1": tells our database from any other SQLite file. */
const applicationId = 0x46_4c_50_31;

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly digest: string;
}

function loadMigrations(): Migration[] {
  return readdirSync(folder)
    .filter((name) => /^\d{4}-[a-z-]+\.sql$/u.test(name))
    .toSorted()
    .map((name) => {
      const sql = readFileSync(new URL(name, folder), "utf8");
      return { name, sql, digest: createHash("sha256").update(sql).digest("hex") };
    });
}

function refuse(code: StoreErrorCode, message: string, hint: string): never {
  throw new CodedError<StoreErrorCode>(code, message, { hint });
}

/**
 * Brings the schema up to date in one transaction: either every missing migration is applied or none.
 * @throws CodedError `store_foreign` · `store_newer` · `store_corrupt`
 */
export function migrate(sqlite: BetterSqlite3.Database, nowMs: number): void {
  sqlite.exec("BEGIN IMMEDIATE");
  try {
    const id = sqlite.pragma("application_id", { simple: true });
    const tables = sqlite.prepare("SELECT count(*) FROM sqlite_master").pluck().get();
    if (id !== applicationId && tables !== 0) {
      refuse("store_foreign", "the database file belongs to another program", "name an empty folder with --data");
    }
    sqlite.pragma(`application_id = ${applicationId}`);
    sqlite.exec(
      "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY NOT NULL, digest TEXT NOT NULL, appliedAtMs INTEGER NOT NULL) STRICT",
    );
    const applied = new Map(sqlite.prepare<[], [string, string]>("SELECT name, digest FROM migrations").raw().all());
    for (const migration of loadMigrations()) {
      const digest = applied.get(migration.name);
      applied.delete(migration.name);
      if (digest === migration.digest) continue;
      if (digest !== undefined) {
        refuse(
          "store_newer",
          `migration ${migration.name} was changed after it ran`,
          "run the program version that made this data folder",
        );
      }
      sqlite.exec(migration.sql);
      sqlite.prepare("INSERT INTO migrations VALUES (?, ?, ?)").run(migration.name, migration.digest, nowMs);
    }
    const [unknown] = applied.keys();
    if (unknown !== undefined) {
      refuse(
        "store_newer",
        `the data folder was used by a newer program (${unknown})`,
        "run the newer program, or restore a backup made before it",
      );
    }
    sqlite.exec("COMMIT");
  } catch (error) {
    if (sqlite.inTransaction) sqlite.exec("ROLLBACK");
    throw error;
  }
}
