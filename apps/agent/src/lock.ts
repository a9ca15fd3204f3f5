import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** SQLITE_BUSY: another connection, of this process or another one, holds the lock. */
const busy = 5;

export type LockAttempt =
  /** Disposing it gives the lock back. */
  | { readonly kind: "taken"; readonly lock: Disposable }
  | { readonly kind: "refused"; readonly error: unknown; readonly isHeld: boolean };

/**
 * SQLite's own lock on a file, which the system drops when its holder dies, however it dies: no stale lock file, no process
 * number that somebody else got since.
 */
export function tryLock(path: string): LockAttempt {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // Nothing is written, and a journal on a full disk could not be begun.
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
    return { kind: "taken", lock: database };
  } catch (error) {
    database.close();
    return { kind: "refused", error, isHeld: (error as { readonly errcode?: number }).errcode === busy };
  }
}

const toPath = (root: string): string => join(root, "agent.lock");

/** One agent per data folder. @throws CodedError `data_folder_in_use` · `data_folder_unusable` */
export function lockDataFolder(root: string): { release(): void } {
  const attempt = tryLock(toPath(root));
  if (attempt.kind === "taken") return { release: () => attempt.lock[Symbol.dispose]() };
  if (!attempt.isHeld)
    throw new CodedError("data_folder_unusable", `${root} cannot be locked: ${toErrorMessage(attempt.error)}`, {
      cause: attempt.error,
      hint: "check that the folder can be written and that its disk is well and has room",
    });
  throw new CodedError("data_folder_in_use", `another agent already runs on ${root}`, {
    cause: attempt.error,
    hint: "stop the other agent, or give this one its own folder with --data",
  });
}

/** Whether an agent holds this data folder. */
export function isRunning(root: string): boolean {
  try {
    const attempt = tryLock(toPath(root));
    if (attempt.kind === "taken") attempt.lock[Symbol.dispose]();
    return attempt.kind === "refused" && attempt.isHeld;
  } catch {
    // A folder or a lock that is not there is nobody's; what cannot be opened may be somebody's.
    return existsSync(toPath(root));
  }
}
