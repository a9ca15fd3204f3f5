import { join } from "node:path";
import type { SlotWindow } from "@fairlead/protocol";
import Database from "better-sqlite3";
import type { TestDevice } from "./device.ts";
import type { TestPlane } from "./plane.ts";

export interface StoredTelemetry {
  /** One for each outbox that the device ever had. */
  readonly epochs: readonly { readonly storedUpTo: number; readonly gaps: number }[];
  /** Numbers up to the last acknowledged one of which the plane holds neither a row nor an answered command. */
  readonly missing: number;
  /** Requests of all windows of one slot. */
  readonly requests: number;
  /** Events of files that were found ruined, as they were sent. */
  readonly integrityFailures: readonly string[];
}

function readOnly<Value>(path: string, read: (database: Database.Database) => Value): Value {
  const database = new Database(path, { readonly: true });
  try {
    return read(database);
  } finally {
    database.close();
  }
}

/** What the plane's database holds of one device, whether the plane runs or not. */
export function readStoredTelemetry(plane: TestPlane, device: TestDevice, slot: string): StoredTelemetry {
  return readOnly(join(plane.dir, "data", "plane.db"), (store) => {
    const of = { device: device.name, slot };
    const list = <Row>(query: string): Row[] =>
      store.prepare<typeof of, Row>(query).pluck(!query.includes("storedUpTo,")).all(of);
    const epochs = list<{ storedUpTo: number; gaps: number }>(
      "SELECT storedUpTo, gaps FROM device_epochs WHERE device = @device",
    );
    const rows = ["host_windows", "events", "evidence"].map(
      (table) => `SELECT seq FROM ${table} WHERE device = @device`,
    );
    const seqs = list<number>(`SELECT DISTINCT seq FROM (${rows.join(" UNION ALL ")})`);
    // An answered command is kept as the command's end, without its number in the sequence.
    const answered = list<number>(
      "SELECT count(*) FROM commands WHERE device = @device AND state IN ('done', 'failed', 'refused')",
    );
    const windows = list<string>("SELECT window FROM slot_windows WHERE device = @device AND slot = @slot");
    const storedUpTo = epochs.at(-1)?.storedUpTo ?? 0;
    return {
      epochs,
      missing: storedUpTo - seqs.filter((seq) => seq <= storedUpTo).length - (answered[0] ?? 0),
      requests: windows.reduce((sum, text) => sum + (JSON.parse(text) as SlotWindow).requests, 0),
      integrityFailures: list<string>("SELECT event FROM events WHERE device = @device AND kind = 'integrity-failed'"),
    };
  });
}

/** What waits on the device for the plane's acknowledgement, and the highest number that it ever gave. */
export function readOutbox(device: TestDevice): { readonly items: number; readonly lastSeq: number } {
  return readOnly(join(device.dataDir, "outbox.db"), (outbox) => {
    const read = (query: string) => outbox.prepare<[], number>(query).pluck().get() ?? 0;
    return {
      items: read("SELECT count(*) FROM items"),
      lastSeq: read("SELECT seq FROM sqlite_sequence WHERE name = 'items'"),
    };
  });
}
