import { and, asc, desc, eq, gte, inArray, lt } from "drizzle-orm";
import type { TelemetryWindow } from "@fairlead/protocol";
import type { Database } from "../database.ts";
import type { StoredAt } from "./messages.ts";
import { hostWindows, slotWindows, type HostWindowRow, type SlotWindowRow } from "../schema/messages.ts";

export interface SlotWindowQuery {
  readonly slot: string;
  /** Half-open [fromMs, toMs) in the plane's time (`atMs`). */
  readonly fromMs: number;
  readonly toMs: number;
  readonly buildDigest?: string;
  readonly version?: string;
  readonly model?: string;
  readonly devices?: readonly string[];
  readonly limit?: number;
}

export interface TelemetryRepository {
  add(rows: { readonly hosts: readonly HostWindowRow[]; readonly slots: readonly SlotWindowRow[] }): Promise<void>;
  /** Oldest first; at most `limit` (default 50,000) rows. */
  listSlotWindows(query: SlotWindowQuery): Promise<SlotWindowRow[]>;
  listHostWindows(query: {
    readonly device: string;
    readonly fromMs: number;
    readonly limit: number;
  }): Promise<HostWindowRow[]>;
  /** The spans of one stored message, in order; empty when none is stored, or no more. */
  listSpans(at: StoredAt): Promise<{ readonly t0Ms: number; readonly t1Ms: number }[]>;
  getLastWindow(device: string): Promise<TelemetryWindow | undefined>;
  removeReceivedBefore(timeMs: number): Promise<void>;
}

/** Rows per statement: far below the engine's 32,766 bound values. */
function toChunks<Row>(rows: readonly Row[], size = 200): Row[][] {
  const count = Math.ceil(rows.length / size);
  return Array.from({ length: count }, (_, index) => rows.slice(index * size, (index + 1) * size));
}

export function createTelemetryRepository(db: Database): TelemetryRepository {
  return {
    add: async ({ hosts, slots }) => {
      for (const rows of toChunks(hosts)) await db.insert(hostWindows).values(rows).onConflictDoNothing();
      for (const rows of toChunks(slots)) await db.insert(slotWindows).values(rows).onConflictDoNothing();
    },
    listSlotWindows: async (query) =>
      await db
        .select()
        .from(slotWindows)
        .where(
          and(
            eq(slotWindows.slot, query.slot),
            gte(slotWindows.atMs, query.fromMs),
            lt(slotWindows.atMs, query.toMs),
            query.buildDigest === undefined ? undefined : eq(slotWindows.buildDigest, query.buildDigest),
            query.model === undefined ? undefined : eq(slotWindows.model, query.model),
            query.version === undefined ? undefined : eq(slotWindows.version, query.version),
            query.devices === undefined ? undefined : inArray(slotWindows.device, [...query.devices]),
          ),
        )
        .orderBy(asc(slotWindows.atMs))
        .limit(query.limit ?? 50_000),
    listHostWindows: async (query) =>
      await db
        .select()
        .from(hostWindows)
        .where(and(eq(hostWindows.device, query.device), gte(hostWindows.atMs, query.fromMs)))
        .orderBy(asc(hostWindows.atMs))
        .limit(query.limit),
    listSpans: async ({ device, epoch, seq }) =>
      await db
        .select({ t0Ms: hostWindows.t0Ms, t1Ms: hostWindows.t1Ms })
        .from(hostWindows)
        .where(and(eq(hostWindows.device, device), eq(hostWindows.epoch, epoch), eq(hostWindows.seq, seq)))
        .orderBy(asc(hostWindows.position)),
    getLastWindow: async (device) => {
      const [host] = await db
        .select()
        .from(hostWindows)
        .where(eq(hostWindows.device, device))
        .orderBy(desc(hostWindows.atMs), desc(hostWindows.seq))
        .limit(1);
      if (host === undefined) return undefined;
      const slots = await db
        .select({ window: slotWindows.window, position: slotWindows.position })
        .from(slotWindows)
        .where(and(eq(slotWindows.device, device), eq(slotWindows.epoch, host.epoch), eq(slotWindows.seq, host.seq)))
        .orderBy(asc(slotWindows.position));
      const { t0Ms, t1Ms, mergedWindows, energy } = host;
      const mine = slots.filter((row) => Math.floor(row.position / 64) === host.position);
      return { t0Ms, t1Ms, mergedWindows, host: host.host, energy, slots: mine.map((row) => row.window) };
    },
    removeReceivedBefore: async (timeMs) => {
      await db.delete(hostWindows).where(lt(hostWindows.receivedMs, timeMs));
      await db.delete(slotWindows).where(lt(slotWindows.receivedMs, timeMs));
    },
  };
}
