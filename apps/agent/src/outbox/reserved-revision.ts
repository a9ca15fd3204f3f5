import type { DatabaseSync } from "node:sqlite";
import { CodedError, toErrorMessage } from "@fairlead/kernel";

/** A number kept as long as the epoch: it lies in the same file, and goes with it when that is damaged. */
export interface ReservedRevision {
  /** 0 when none was saved in this epoch. */
  load(): number;
  /** @throws CodedError `state_save_failed`; the old value then still stands */
  save(reservedUpTo: number): void;
}

export function openReservedRevision(database: DatabaseSync): ReservedRevision {
  const read = database.prepare("SELECT value FROM meta WHERE key = 'revision'");
  const write = database.prepare(
    "INSERT INTO meta VALUES ('revision', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
  );
  return {
    load: () => Number(read.get()?.["value"] ?? 0),
    save(reservedUpTo) {
      try {
        write.run(String(reservedUpTo));
      } catch (error) {
        throw new CodedError("state_save_failed", `cannot save the revision: ${toErrorMessage(error)}`, {
          cause: error,
        });
      }
    },
  };
}
