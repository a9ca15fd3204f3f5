import type { DatabaseSync } from "node:sqlite";
import { limits, parsePayload, telemetryMessageSchema, toPayload, type TelemetryMessage } from "@fairlead/protocol";
import { mergeBatches, toWindowCount } from "./merge-telemetry.ts";
import { buildLossEvent } from "./outbox-message.ts";

export interface ShrinkOptions {
  /** With fewer bytes free the item that waits finds no room. */
  readonly neededBytes: number;
  /** Free at least this many bytes, when telemetry and time allow. */
  readonly wantedBytes: number;
  /** Items up to here may be stored by the plane already; merging one would count it twice. */
  readonly sentUpTo: number;
  readonly source: string;
  readonly monotonicMs: () => number;
}

export interface NeighbourPair {
  readonly older: number;
  readonly newer: number;
  /** How many original windows both stand for. */
  readonly windows: number;
}

/** A pair that cannot get smaller is marked with this count, so that it is not tried again. */
const unmergeable = 1_000_001;
/**
 * The supervisor does nothing else meanwhile, so an append tries a few pairs and the next one goes on. Time beyond the
 * first bound is taken only while the item would otherwise be lost.
 */
const maxTries = 64;
const forRoomMs = 50;
const forNeedMs = 250;

// The least merged neighbours first, then the oldest: resolution is lost evenly, as in a logarithmic history.
// A pair shares an item with two others at most, so of three times as many there are always enough.
const pairsSql = `
  SELECT older, newer, merged + nextMerged AS windows FROM (
    SELECT seq AS older, merged, lead(seq) OVER (ORDER BY seq) AS newer, lead(merged) OVER (ORDER BY seq) AS nextMerged
    FROM items WHERE kind = 'telemetry' AND seq > ?
  ) WHERE newer IS NOT NULL AND merged < ${unmergeable} ORDER BY windows, older LIMIT ${3 * maxTries}`;

/**
 * Merges neighbouring telemetry. The newer item carries the windows of both; the older keeps its sequence number and
 * becomes an `outbox-merged` event, so that cumulative acknowledgement never meets a hole. To be called within a
 * transaction.
 * @returns bytes freed
 */
export function shrinkTelemetry(database: DatabaseSync, options: ShrinkOptions): number {
  const { neededBytes, wantedBytes, monotonicMs } = options;
  const findPairs = database.prepare(pairsSql);
  const find = () =>
    planPass(
      findPairs.all(options.sentUpTo).map(({ older, newer, windows }) => ({
        older: Number(older),
        newer: Number(newer),
        windows: Number(windows),
      })),
    );
  const merge = createMerger(database, options.source);
  let freed = 0;
  let tries = 0;
  let pairs = find();
  // A search costs what the outbox holds, however little time there is; what is bounded is what follows from it.
  const startedMs = monotonicMs();
  while (pairs.length > 0) {
    for (const pair of pairs) {
      const budgetMs = freed < neededBytes ? forNeedMs : forRoomMs;
      if (freed >= wantedBytes || tries >= maxTries || monotonicMs() - startedMs >= budgetMs) return freed;
      tries += 1;
      freed += merge(pair);
    }
    pairs = find();
  }
  return freed;
}

/**
 * The pairs of one search that may be merged before the next: none shares an item with another, and none stands for as
 * much as what the merging itself leaves behind, which has to be judged again first.
 */
export function planPass(pairs: readonly NeighbourPair[]): readonly NeighbourPair[] {
  const taken = new Set<number>();
  const least = Math.max(1, pairs[0]?.windows ?? 1);
  return pairs.filter(({ older, newer, windows }) => {
    if (windows >= 2 * least || taken.has(older) || taken.has(newer)) return false;
    taken.add(older).add(newer);
    return true;
  });
}

function createMerger(database: DatabaseSync, source: string): (pair: NeighbourPair) => number {
  const read = database.prepare("SELECT payload FROM items WHERE seq = ?");
  const write = database.prepare("UPDATE items SET kind = ?, payload = ?, bytes = ?, merged = ? WHERE seq = ?");
  const mark = database.prepare("UPDATE items SET merged = ? WHERE seq = ?");
  const load = (seq: number) => {
    const payload = read.get(seq)?.["payload"];
    if (!(payload instanceof Uint8Array)) throw new Error(`item ${seq} is missing`);
    return payload;
  };
  return (pair) => {
    const merged = mergePayloads(load(pair.older), load(pair.newer), { source, newerSeq: pair.newer });
    if (merged === undefined) {
      mark.run(unmergeable, pair.older);
      return 0;
    }
    write.run("event", merged.tombstone, merged.tombstone.byteLength, 0, pair.older);
    write.run("telemetry", merged.payload, merged.payload.byteLength, merged.windows, pair.newer);
    return merged.savedBytes;
  };
}

interface MergedPayloads {
  readonly payload: Uint8Array;
  readonly windows: number;
  readonly tombstone: Uint8Array;
  readonly savedBytes: number;
}

/** Undefined when nothing would be saved, or the plane would refuse what comes of it. */
function mergePayloads(
  olderPayload: Uint8Array,
  newerPayload: Uint8Array,
  { source, newerSeq }: { readonly source: string; readonly newerSeq: number },
): MergedPayloads | undefined {
  const [older, newer] = [parseTelemetry(olderPayload), parseTelemetry(newerPayload)];
  if (older === undefined || newer === undefined) return undefined;
  const windows = mergeBatches(older.windows, newer.windows);
  const payload = toPayload({ ...newer, windows });
  if (windows.length > 32 || payload.byteLength > limits.mqttPayloadBytes) return undefined;
  const droppedWindows = toWindowCount(older.windows);
  const tombstone = buildLossEvent(older, { source, droppedWindows, reason: `merged into ${newerSeq}` });
  if (tombstone.kind !== "built") return undefined;
  const savedBytes =
    olderPayload.byteLength + newerPayload.byteLength - payload.byteLength - tombstone.payload.byteLength;
  if (savedBytes <= 0) return undefined;
  return { payload, windows: toWindowCount(windows), tombstone: tombstone.payload, savedBytes };
}

/** What an agent of before left may be unreadable today; that must not cost what comes after it. */
function parseTelemetry(payload: Uint8Array): TelemetryMessage | undefined {
  try {
    return parsePayload(telemetryMessageSchema, payload);
  } catch {
    return undefined;
  }
}
