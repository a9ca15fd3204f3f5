import { CodedError, toErrorCode } from "@fairlead/kernel";

/** Every way in which the store can refuse. */
export type StoreErrorCode =
  | "storage_full"
  | "store_busy"
  | "store_corrupt"
  | "store_foreign"
  | "store_locked"
  | "store_newer"
  | "store_unwritable"
  | "transaction_nested";

function toSqliteCode(error: unknown): string | undefined {
  for (let cause = error, depth = 0; cause !== undefined && depth < 5; depth += 1) {
    const code = toErrorCode(cause);
    if (code !== undefined && /^(?:SQLITE_|ENOSPC|EDQUOT|EROFS|EACCES)/u.test(code)) return code;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return undefined;
}

/** The store as a whole refuses (full, damaged, in use, not writable), whatever was asked of it. */
export function isStoreError(error: unknown): boolean {
  return toStoreError(error) !== error || (error instanceof CodedError && /^(?:storage_|store_)/u.test(error.code));
}

/** The engine's error → ours; anything else passes through unchanged. */
export function toStoreError(error: unknown): unknown {
  const code = error instanceof CodedError ? undefined : toSqliteCode(error);
  if (code === undefined) return error;
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT" || code === "SQLITE_IOERR_WRITE") {
    return new CodedError<StoreErrorCode>("storage_full", "the disk of the data folder is full", {
      cause: error,
      hint: "free space on the disk of the data folder; nothing was half-written",
    });
  }
  if (code === "SQLITE_NOTADB" || code.startsWith("SQLITE_CORRUPT")) {
    return new CodedError<StoreErrorCode>("store_corrupt", "the database file is damaged or is no database", {
      cause: error,
      hint: "restore the data folder from a backup, or name an empty folder with --data",
    });
  }
  if (code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")) {
    return new CodedError<StoreErrorCode>("store_busy", "the database is in use", { cause: error });
  }
  if (code === "SQLITE_READONLY" || code === "SQLITE_CANTOPEN" || code === "EROFS" || code === "EACCES") {
    return new CodedError<StoreErrorCode>("store_unwritable", "the data folder cannot be written", {
      cause: error,
      hint: "check owner and permissions of the data folder",
    });
  }
  return error;
}
