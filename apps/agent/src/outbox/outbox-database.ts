import { closeSync, existsSync, openSync, renameSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { CodedError, toErrorMessage } from "@fairlead/kernel";

/** How the file was found. `replaced`: it was damaged and moved aside, so a new epoch began. */
export type OutboxOrigin =
  | { readonly kind: "created" }
  | { readonly kind: "existing" }
  | { readonly kind: "replaced"; readonly reason: string; readonly movedTo: string };

export interface OpenedDatabase {
  readonly database: DatabaseSync;
  readonly epoch: string;
  readonly lastSeq: number;
  readonly sentUpTo: number;
  readonly bytes: number;
  readonly origin: OutboxOrigin;
}

export interface OpenDatabaseOptions {
  readonly path: string;
  /** The file stops growing here, whatever else fills the disk. */
  readonly maxFileBytes: number;
  /** A new random epoch, 8 to 64 of `0-9a-z`. */
  readonly createEpoch: () => string;
  readonly nowMs: number;
}

// AUTOINCREMENT remembers the highest number ever given, so none is used twice even when the table is empty.
const schema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS items (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    payload BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    merged INTEGER NOT NULL
  ) STRICT;`;

/** @throws CodedError `outbox_open_failed` when not even a fresh file can be opened */
export function openOutboxDatabase(options: OpenDatabaseOptions): OpenedDatabase {
  const existed = existsSync(options.path);
  try {
    return { ...openFile(options), origin: { kind: existed ? "existing" : "created" } };
  } catch (error) {
    if (existed && isDiskTrouble(error)) return { ...openAlone(options), origin: { kind: "existing" } };
    // Only what is really damaged is put aside: a full disk or a lock must not cost the queue.
    if (!existed || !isDamage(error)) throw toOpenError(error);
    const movedTo = moveAside(options);
    try {
      return { ...openFile(options), origin: { kind: "replaced", reason: toErrorMessage(error), movedTo } };
    } catch (second) {
      throw toOpenError(second);
    }
  }
}

/** Without the shared index beside the file, for which a full disk has no room: nobody else can look into it meanwhile. */
function openAlone(options: OpenDatabaseOptions): Omit<OpenedDatabase, "origin"> {
  try {
    return openFile(options, "PRAGMA locking_mode = EXCLUSIVE;");
  } catch (error) {
    throw toOpenError(error);
  }
}

function openFile({ path, maxFileBytes, createEpoch }: OpenDatabaseOptions, mode = ""): Omit<OpenedDatabase, "origin"> {
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  try {
    database.exec(`PRAGMA busy_timeout = 2000; ${mode} PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;`);
    const check = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (check !== "ok") throw new CodedError("outbox_damaged", String(check));
    const pageBytes = Number(database.prepare("PRAGMA page_size").get()?.["page_size"]);
    database.exec(`PRAGMA max_page_count = ${Math.max(32, Math.ceil(maxFileBytes / pageBytes))}`);
    database.exec(schema);
    database.prepare("INSERT OR IGNORE INTO meta VALUES ('epoch', ?), ('sent', '0')").run(createEpoch());
    const meta = (key: string): string => {
      const value = database.prepare("SELECT value FROM meta WHERE key = ?").get(key)?.["value"];
      if (typeof value !== "string") throw new CodedError("outbox_damaged", `${key} is missing`);
      return value;
    };
    const total = database.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM items").get();
    const last = database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'items'").get();
    return {
      database,
      epoch: meta("epoch"),
      sentUpTo: Number(meta("sent")),
      bytes: Number(total?.["bytes"] ?? 0),
      lastSeq: Number(last?.["seq"] ?? 0),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), extended codes included. */
function isDamage(error: unknown): boolean {
  if (error instanceof CodedError) return error.code === "outbox_damaged";
  const code = toSqliteCode(error);
  return code === 11 || code === 26;
}

/** SQLITE_IOERR (10), SQLITE_FULL (13) and SQLITE_CANTOPEN (14). */
function isDiskTrouble(error: unknown): boolean {
  return [10, 13, 14].includes(toSqliteCode(error) ?? 0);
}

/** The primary result code of an error of `node:sqlite`. */
export function toSqliteCode(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode & 0xff : undefined;
}

function moveAside({ path, nowMs }: OpenDatabaseOptions): string {
  const movedTo = `${path}.damaged-${Math.floor(nowMs)}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    if (existsSync(path + suffix)) renameSync(path + suffix, movedTo + suffix);
  }
  return movedTo;
}

function toOpenError(error: unknown): CodedError {
  return new CodedError("outbox_open_failed", `the outbox cannot be opened: ${toErrorMessage(error)}`, {
    cause: error,
    hint: "check free space and permissions of the data folder, and that no second agent uses it",
  });
}
