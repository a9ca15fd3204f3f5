import { and, asc, eq, gt, inArray, isNull, lt, or, sql } from "drizzle-orm";
import type { Database } from "../database.ts";
import {
  desiredDocuments,
  devices,
  deviceSlots,
  type DesiredDocument,
  type DesiredSlotRow,
  type Device,
} from "../schema/devices.ts";

export interface DeviceRepository {
  get(device: string): Promise<Device | undefined>;
  /** Ordered by name, beginning after `after`; every device when no limit is given. */
  list(page?: { readonly after?: string; readonly limit?: number }): Promise<Device[]>;
  /** Of every device, or of those that are named; without what else is known of them. */
  listLabels(device?: string): Promise<Pick<Device, "device" | "labels">[]>;
  count(lifecycle: Device["lifecycle"]): Promise<number>;
  add(device: Device): Promise<void>;
  /** Changes only the named columns. */
  update(device: string, change: Partial<Omit<Device, "device">>): Promise<void>;
  countDeadLetter(device: string): Promise<void>;
  listSilent(beforeMs: number): Promise<Device[]>;
  /** Those who are connected with a certificate that is over. */
  listVerifiedBefore(timeMs: number): Promise<Device[]>;
  markAllOffline(): Promise<void>;
  listSlots(device: string): Promise<DesiredSlotRow[]>;
  listSlotsOf(devices: readonly string[]): Promise<DesiredSlotRow[]>;
  listSlotsOfRollout(rolloutId: string): Promise<DesiredSlotRow[]>;
  saveSlot(row: DesiredSlotRow): Promise<void>;
  /** What a device that is gone should run: nothing, and no document says otherwise. */
  removeDesired(device: string): Promise<void>;
  getDesired(device: string): Promise<DesiredDocument | undefined>;
  listDesired(): Promise<DesiredDocument[]>;
  listDesiredExpiring(beforeMs: number): Promise<DesiredDocument[]>;
  saveDesired(document: DesiredDocument): Promise<void>;
}

export function createDeviceRepository(db: Database): DeviceRepository {
  const list: DeviceRepository["list"] = async (page = {}) => {
    const query = db
      .select()
      .from(devices)
      .where(gt(devices.device, page.after ?? ""))
      .orderBy(asc(devices.device));
    return page.limit === undefined ? await query : await query.limit(page.limit);
  };
  return {
    get: async (device) => (await db.select().from(devices).where(eq(devices.device, device)).limit(1))[0],
    list,
    listLabels: async (device) =>
      await db
        .select({ device: devices.device, labels: devices.labels })
        .from(devices)
        .where(device === undefined ? undefined : eq(devices.device, device)),
    count: async (lifecycle) => await db.$count(devices, eq(devices.lifecycle, lifecycle)),
    add: async (device) => {
      await db.insert(devices).values(device);
    },
    update: async (device, change) => {
      if (Object.keys(change).length === 0) return;
      await db.update(devices).set(change).where(eq(devices.device, device));
    },
    countDeadLetter: async (device) => {
      const deadLetters = sql`${devices.deadLetters} + 1`;
      await db.update(devices).set({ deadLetters }).where(eq(devices.device, device));
    },
    listSilent: async (beforeMs) => {
      const silent = or(isNull(devices.lastSeenMs), lt(devices.lastSeenMs, beforeMs));
      return await db
        .select()
        .from(devices)
        .where(and(eq(devices.online, true), silent));
    },
    listVerifiedBefore: async (timeMs) =>
      await db
        .select()
        .from(devices)
        .where(and(eq(devices.integrity, "verified"), lt(devices.integrityAtMs, timeMs))),
    markAllOffline: async () => {
      await db.update(devices).set({ online: false }).where(eq(devices.online, true));
    },
    listSlots: async (device) =>
      await db.select().from(deviceSlots).where(eq(deviceSlots.device, device)).orderBy(asc(deviceSlots.slot)),
    listSlotsOf: async (names) => {
      const rows: DesiredSlotRow[] = [];
      // SQLite binds at most 32,766 values in one statement.
      for (let start = 0; start < names.length; start += 1_000) {
        const some = inArray(deviceSlots.device, names.slice(start, start + 1_000));
        rows.push(...(await db.select().from(deviceSlots).where(some)));
      }
      return rows;
    },
    listSlotsOfRollout: async (rolloutId) =>
      await db.select().from(deviceSlots).where(eq(deviceSlots.rolloutId, rolloutId)),
    saveSlot: async (row) => {
      await db
        .insert(deviceSlots)
        .values(row)
        .onConflictDoUpdate({ target: [deviceSlots.device, deviceSlots.slot], set: row });
    },
    removeDesired: async (device) => {
      await db.delete(deviceSlots).where(eq(deviceSlots.device, device));
      await db.delete(desiredDocuments).where(eq(desiredDocuments.device, device));
    },
    getDesired: async (device) =>
      (await db.select().from(desiredDocuments).where(eq(desiredDocuments.device, device)).limit(1))[0],
    listDesired: async () => await db.select().from(desiredDocuments),
    listDesiredExpiring: async (beforeMs) =>
      await db.select().from(desiredDocuments).where(lt(desiredDocuments.expiresAtMs, beforeMs)),
    saveDesired: async (document) => {
      await db
        .insert(desiredDocuments)
        .values(document)
        .onConflictDoUpdate({ target: desiredDocuments.device, set: document });
    },
  };
}
