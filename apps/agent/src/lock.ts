import { CodedError } from "@fairlead/kernel";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * One agent per data folder. The lock is SQLite's own file lock, which the system drops when its holder dies, however it
 * dies: no stale lock file, no process number that somebody else got since.
 * @throws CodedError `data_folder_in_use`
 */
export function lockDataFolder(root: string): { release(): void } {
  const database = new DatabaseSync(join(root, "agent.lock"), { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    throw new CodedError("data_folder_in_use", `another agent already runs on ${root}`, {
      cause: error,
      hint: "stop the other agent, or give this one its own folder with --data",
    });
  }
  return { release: () => database.close() };
}
