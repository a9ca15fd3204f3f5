import type { DatabaseSync } from "node:sqlite";
import { parsePayload, telemetryMessageSchema, toPayload } from "@fairlead/protocol";
import { mergeBatches, toWindowCount } from "./merge-telemetry.ts";
import { buildMessage, toEventBody } from "./outbox-message.ts";

export interface ShrinkOptions {
  /** Free at least this many bytes, when telemetry allows. */
  readonly bytes: number;
  /** Items up to here may be stored by the plane already; merging one would count it twice. */
  readonly sentUpTo: number;
  readonly source: string;
}

/** A pair that cannot get smaller is marked with this count, so that it is not tried again. */
const unmergeable = 1_000_001;

// The least merged neighbours first, then the oldest: resolution is lost evenly, as in a logarithmic history.
const pairSql = `
  SELECT older, newer FROM (
    SELECT seq AS older, merged, lead(seq) OVER (ORDER BY seq) AS newer, lead(merged) OVER (ORDER BY seq) AS nextMerged
    FROM items WHERE kind = 'telemetry' AND seq > ?
  ) WHERE newer IS NOT NULL AND merged < ${unmergeable} ORDER BY merged + nextMerged, older LIMIT 1`;

/**
 * Merges neighbouring telemetry. The newer item carries the windows of both; the older keeps its sequence number and
 * becomes an `outbox-merged` event, so that cumulative acknowledgement never meets a hole. To be called within a
 * transaction.
 * @returns bytes freed
 */
export function shrinkTelemetry(database: DatabaseSync, options: ShrinkOptions): number {
  const findPair = database.prepare(pairSql);
  const read = database.prepare("SELECT payload FROM items WHERE seq = ?");
  const write = database.prepare("UPDATE items SET kind = ?, payload = ?, bytes = ?, merged = ? WHERE seq = ?");
  const mark = database.prepare("UPDATE items SET merged = ? WHERE seq = ?");
  const load = (seq: number) => {
    const payload = read.get(seq)?.["payload"];
    if (!(payload instanceof Uint8Array)) throw new Error(`item ${seq} is missing`);
    return { payload, message: parsePayload(telemetryMessageSchema, payload) };
  };

  let freed = 0;
  while (freed < options.bytes) {
    const pair = findPair.get(options.sentUpTo);
    if (pair === undefined) break;
    const [olderSeq, newerSeq] = [Number(pair["older"]), Number(pair["newer"])];
    const [older, newer] = [load(olderSeq), load(newerSeq)];
    const windows = mergeBatches(older.message.windows, newer.message.windows);
    const payload = toPayload({ ...newer.message, windows });
    const stamp = { ...older.message };
    const data = {
      kind: "outbox-merged" as const,
      droppedWindows: toWindowCount(older.message.windows),
      reason: `merged into ${newerSeq}`,
    };
    const tombstone = buildMessage("event", toEventBody(data, stamp, options.source), stamp);
    const saved =
      tombstone.kind === "built"
        ? older.payload.byteLength + newer.payload.byteLength - payload.byteLength - tombstone.payload.byteLength
        : 0;
    if (tombstone.kind !== "built" || saved <= 0 || windows.length > 32) {
      mark.run(unmergeable, olderSeq);
      continue;
    }
    write.run("event", tombstone.payload, tombstone.payload.byteLength, 0, olderSeq);
    write.run("telemetry", payload, payload.byteLength, toWindowCount(windows), newerSeq);
    freed += saved;
  }
  return freed;
}
