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
import { inPages, inParts } from "./in-parts.ts";

/** By what selectors choose. */
export type SelectableDevice = Pick<Device, "device" | "labels" | "assurance">;

/** As rollouts see it beside its labels. */
export type FleetRow = Pick<Device, "device" | "lifecycle" | "online" | "reported"> & {
  /** Of the newest desired state; null before the first. */
  readonly generation: number | null;
  /** What the slot should run; null where it was never asked for anything. */
  readonly desired: Pick<DesiredSlotRow, "releaseId" | "version" | "rolloutId" | "attempt" | "shadow"> | null;
};

/** What was asked last of a slot, by whom. */
export type AskedSlot = Pick<DesiredSlotRow, "device" | "slot" | "rolloutId" | "attempt">;

/** As remediation sees it: the columns that lie before the evidence. */
export type WatchedDevice = Pick<
  Device,
  "device" | "lifecycle" | "online" | "lastSeenMs" | "reported" | "integrity" | "integrityAtMs"
>;

export interface DeviceRepository {
  get(device: string): Promise<Device | undefined>;
  /** Ordered by name, beginning after `after`; every device when no limit is given. */
  list(page?: { readonly after?: string; readonly limit?: number }): Promise<Device[]>;
  /** Every device, ordered by name. What a look at the whole fleet does not ask for is not read: a row has some kilobytes. */
  listSelectable(): Promise<SelectableDevice[]>;
  /** Those of them that exist, in no order. */
  listSelectableOf(devices: readonly string[]): Promise<SelectableDevice[]>;
  /** Through one slot; those of them that exist, in no order. */
  listFleetOf(slot: string, devices: readonly string[]): Promise<FleetRow[]>;
  listWatched(): Promise<WatchedDevice[]>;
  /** Those for which something speaks for two holders of one identity. */
  listDoubted(): Promise<string[]>;
  listClockSkewsOf(devices: readonly string[]): Promise<Pick<Device, "device" | "clockSkewMs">[]>;
  /** Those of them that exist, in no order. */
  listOf(devices: readonly string[]): Promise<Device[]>;
  listReported(): Promise<Pick<Device, "device" | "reported">[]>;
  listStates(): Promise<Pick<Device, "lifecycle" | "online" | "integrity">[]>;
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
  listAskedSlotsOf(devices: readonly string[]): Promise<AskedSlot[]>;
  listSlotsOfRollout(rolloutId: string): Promise<DesiredSlotRow[]>;
  saveSlot(row: DesiredSlotRow): Promise<void>;
  /** What a device that is gone should run: nothing, and no document says otherwise. */
  removeDesired(device: string): Promise<void>;
  getDesired(device: string): Promise<DesiredDocument | undefined>;
  listDesired(): Promise<DesiredDocument[]>;
  listDesiredExpiring(beforeMs: number): Promise<DesiredDocument[]>;
  saveDesired(document: DesiredDocument): Promise<void>;
}

const { device, labels, assurance, lifecycle, online, reported, integrity, clockSkewMs } = devices;
const selectable = { device, labels, assurance };
const { lastSeenMs, integrityAtMs } = devices;
const watched = { device, lifecycle, online, lastSeenMs, reported, integrity, integrityAtMs };
/** As the index `devices_doubted` has it. */
const isDoubted = sql`json_extract(${devices.identityWatch}, '$.finding') IS NOT NULL`;
const { releaseId, version, rolloutId, attempt, shadow, slot: slotName } = deviceSlots;
/** The library takes the row for absent when the first of them is null, so that is one that never is. */
const desired = { attempt, releaseId, version, rolloutId, shadow };
const asked = { device: deviceSlots.device, slot: slotName, rolloutId, attempt };

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
    listSelectable: async () =>
      await inPages(({ after, limit }) =>
        db.select(selectable).from(devices).where(gt(device, after)).orderBy(asc(device)).limit(limit),
      ),
    listSelectableOf: async (names) =>
      await inParts(names, (some) => db.select(selectable).from(devices).where(inArray(devices.device, some))),
    listFleetOf: async (slot, names) => {
      const { generation } = desiredDocuments;
      const columns = { device, lifecycle, online, reported, generation, desired };
      const ofSlot = and(eq(deviceSlots.device, devices.device), eq(deviceSlots.slot, slot));
      return await inParts(names, (some) =>
        db
          .select(columns)
          .from(devices)
          .leftJoin(desiredDocuments, eq(desiredDocuments.device, devices.device))
          .leftJoin(deviceSlots, ofSlot)
          .where(inArray(devices.device, some)),
      );
    },
    listOf: async (names) => await inParts(names, (some) => db.select().from(devices).where(inArray(device, some))),
    listWatched: async () =>
      await inPages(({ after, limit }) =>
        db.select(watched).from(devices).where(gt(device, after)).orderBy(asc(device)).limit(limit),
      ),
    listDoubted: async () => (await db.select({ device }).from(devices).where(isDoubted)).map((row) => row.device),
    listClockSkewsOf: async (names) =>
      await inParts(names, (some) =>
        db.select({ device, clockSkewMs }).from(devices).where(inArray(devices.device, some)),
      ),
    listReported: async () => await db.select({ device, reported }).from(devices),
    listStates: async () => await db.select({ lifecycle, online, integrity }).from(devices),
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
    listSlotsOf: async (names) =>
      await inParts(names, (some) => db.select().from(deviceSlots).where(inArray(deviceSlots.device, some))),
    listAskedSlotsOf: async (names) =>
      await inParts(names, (some) => db.select(asked).from(deviceSlots).where(inArray(deviceSlots.device, some))),
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
