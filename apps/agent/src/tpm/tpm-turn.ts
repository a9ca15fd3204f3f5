import { CodedError } from "@fairlead/kernel";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const pollMs = 25;

/** SQLITE_BUSY: another connection, of this process or another one, holds the lock. */
const busy = 5;

/**
 * One conversation at a time with a TPM that has no resource manager: a second one's flush would take away what the
 * first one just loaded. The lock is SQLite's, which the system drops when its holder dies.
 * @throws CodedError `tpm_unavailable`: another conversation of this device lasted longer than `timeoutMs`
 */
export async function takeTpmTurn(folder: string, timeoutMs: number): Promise<Disposable> {
  const path = join(folder, "tpm.lock");
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    chmodSync(path, 0o600);
    const endMs = performance.now() + timeoutMs;
    for (;;)
      try {
        database.exec("BEGIN EXCLUSIVE");
        return database;
      } catch (error) {
        if ((error as { readonly errcode?: number }).errcode !== busy) throw error;
        if (performance.now() > endMs)
          throw new CodedError("tpm_unavailable", "another conversation with the TPM does not end", {
            cause: error,
            hint: "see whether `fairlead-agent doctor` or `enrol` runs on this device",
          });
        await sleep(pollMs);
      }
  } catch (error) {
    database.close();
    throw error;
  }
}
