import { AsyncLocalStorage } from "node:async_hooks";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { CodedError } from "@fairlead/kernel";
import BetterSqlite3 from "better-sqlite3";
import { drizzle } from "drizzle-orm/better-sqlite3";
import { toStoreError, type StoreErrorCode } from "./errors.ts";
import { migrate } from "./migrate.ts";
import { createMutex } from "./mutex.ts";
import { createRepositories, type Repositories } from "./repositories.ts";

export interface Transaction extends Repositories {
  /** Runs once the commit is on disk; never when the transaction fails. Its own failure is reported to `onHookError`. */
  afterCommit(hook: () => void): void;
}

export interface Store {
  /** Committed data only; a write through it is refused by the engine. */
  readonly read: Repositories;
  /**
   * The one way to write. Transactions run one after another; a throw rolls everything back.
   * On resolve the data is on disk (`synchronous=FULL`).
   * @throws CodedError `storage_full` · `store_busy` · `transaction_nested`, and what the body throws
   */
  transaction<Result>(body: (tx: Transaction) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Folder of the database; made when absent, mode 0700. */
  readonly folder: string;
  readonly nowMs: number;
  /** Upper bound of the database file in pages of 4 KiB; the engine's own when absent. */
  readonly maxPages?: number;
  readonly onHookError?: (error: unknown) => void;
}

/** A lock that the operating system drops when the process dies, so a crash never leaves the folder locked. */
function lockFolder(folder: string): BetterSqlite3.Database {
  const lock = new BetterSqlite3(join(folder, "lock"), { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (error) {
    lock.close();
    throw new CodedError<StoreErrorCode>("store_locked", `another process uses the data folder ${folder}`, {
      cause: error,
      hint: "stop the other control plane, or name another folder with --data",
    });
  }
}

function openConnection(file: string, pragmas: readonly string[]): BetterSqlite3.Database {
  const sqlite = new BetterSqlite3(file, { timeout: 5_000 });
  for (const pragma of ["foreign_keys = ON", "busy_timeout = 5000", "trusted_schema = OFF", ...pragmas])
    sqlite.pragma(pragma);
  return sqlite;
}

/** @throws CodedError `store_locked` · `store_corrupt` · `store_foreign` · `store_newer` · `storage_full` · `store_unwritable` */
export function openStore(options: StoreOptions): Store {
  const opened: BetterSqlite3.Database[] = [];
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    opened.push(lockFolder(options.folder));
    const file = join(options.folder, "plane.db");
    const writer = openConnection(file, ["journal_mode = WAL", "synchronous = FULL"]);
    opened.push(writer);
    migrate(writer, options.nowMs);
    if (options.maxPages !== undefined) writer.pragma(`max_page_count = ${Math.floor(options.maxPages)}`);
    const reader = openConnection(file, ["query_only = ON"]);
    opened.push(reader);
    return createStore({ writer, reader, opened, onHookError: options.onHookError ?? (() => undefined) });
  } catch (error) {
    for (const connection of opened.toReversed()) connection.close();
    throw toStoreError(error);
  }
}

interface Connections {
  readonly writer: BetterSqlite3.Database;
  readonly reader: BetterSqlite3.Database;
  readonly opened: readonly BetterSqlite3.Database[];
  readonly onHookError: (error: unknown) => void;
}

function createStore(connections: Connections): Store {
  const { writer } = connections;
  const exclusively = createMutex();
  const inside = new AsyncLocalStorage<true>();
  const write = createRepositories(drizzle(writer));

  const runTransaction = async <Result>(body: (tx: Transaction) => Promise<Result>) => {
    const hooks: (() => void)[] = [];
    let result: Result;
    try {
      writer.exec("BEGIN IMMEDIATE");
      result = await inside.run(true, () => body({ ...write, afterCommit: (hook) => hooks.push(hook) }));
      writer.exec("COMMIT");
    } catch (error) {
      if (writer.inTransaction) writer.exec("ROLLBACK");
      throw toStoreError(error);
    }
    for (const hook of hooks) {
      try {
        hook();
      } catch (error) {
        connections.onHookError(error);
      }
    }
    return result;
  };

  return {
    read: createRepositories(drizzle(connections.reader)),
    transaction: (body) => {
      if (inside.getStore() === true) {
        throw new CodedError<StoreErrorCode>("transaction_nested", "a transaction cannot start inside another one", {
          hint: "hand the outer transaction down instead of the store",
        });
      }
      return exclusively(() => runTransaction(body));
    },
    close: () =>
      exclusively(async () => {
        for (const connection of connections.opened.toReversed()) connection.close();
      }),
  };
}
