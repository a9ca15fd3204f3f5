import { and, asc, count, eq, gt, isNotNull, isNull, lte, notExists, notInArray, sql } from "drizzle-orm";
import { alias } from "drizzle-orm/sqlite-core";
import type { Database } from "../database.ts";
import { deviceCertificates, type DeviceCertificateRow } from "../schema/device-certificates.ts";

/** A broker whose clock is late by less still finds a certificate listed that has ended by the calendar. */
const keptBeyondMs = 2 * 86_400_000;

export interface EndedCertificate {
  readonly serial: string;
  readonly endedAtMs: number;
}

export interface DeviceCertificateRepository {
  /** From now on these, and no others, count for the device. */
  keep(
    device: string,
    counting: readonly Pick<DeviceCertificateRow, "serial" | "notAfterMs">[],
    nowMs: number,
  ): Promise<void>;
  /** Removes what has ended by the calendar. */
  removeExpired(nowMs: number): Promise<void>;
  /** Another text whenever something was issued, ended, or removed since. */
  getState(): Promise<string>;
  /** All that count no more before their time, ordered by serial. */
  listEnded(nowMs: number): Promise<EndedCertificate[]>;
  /** Names of devices that have such certificates and none that counts, in order. */
  listEndedDevices(nowMs: number): Promise<string[]>;
}

export function createDeviceCertificateRepository(db: Database): DeviceCertificateRepository {
  const isEnded = (nowMs: number) =>
    and(isNotNull(deviceCertificates.endedAtMs), gt(deviceCertificates.notAfterMs, nowMs - keptBeyondMs));
  const others = alias(deviceCertificates, "others");
  return {
    keep: async (device, counting, nowMs) => {
      const ofDevice = eq(deviceCertificates.device, device);
      const serials = counting.map(({ serial }) => serial);
      await db
        .update(deviceCertificates)
        .set({ endedAtMs: nowMs })
        .where(and(ofDevice, isNull(deviceCertificates.endedAtMs), notInArray(deviceCertificates.serial, serials)));
      const rows = counting.map(({ serial, notAfterMs }) => ({ serial, device, notAfterMs, endedAtMs: null }));
      if (rows.length > 0) await db.insert(deviceCertificates).values(rows).onConflictDoNothing();
    },
    removeExpired: async (nowMs) => {
      await db.delete(deviceCertificates).where(lte(deviceCertificates.notAfterMs, nowMs - keptBeyondMs));
    },
    getState: async () => {
      const { endedAtMs, notAfterMs } = deviceCertificates;
      // As text: sums of so many moments are larger than a number holds.
      const ends = sql<string>`cast(coalesce(sum(${endedAtMs}), 0) as text)`;
      const lives = sql<string>`cast(coalesce(sum(${notAfterMs}), 0) as text)`;
      const [row] = await db.select({ rows: count(), ends, lives }).from(deviceCertificates);
      return `${row?.rows ?? 0} ${row?.ends ?? ""} ${row?.lives ?? ""}`;
    },
    listEnded: async (nowMs) => {
      const rows = await db
        .select({ serial: deviceCertificates.serial, endedAtMs: deviceCertificates.endedAtMs })
        .from(deviceCertificates)
        .where(isEnded(nowMs))
        .orderBy(asc(deviceCertificates.serial));
      return rows.flatMap(({ serial, endedAtMs }) => (endedAtMs === null ? [] : [{ serial, endedAtMs }]));
    },
    listEndedDevices: async (nowMs) => {
      const counting = db
        .select({ serial: others.serial })
        .from(others)
        .where(
          and(eq(others.device, deviceCertificates.device), isNull(others.endedAtMs), gt(others.notAfterMs, nowMs)),
        );
      const rows = await db
        .selectDistinct({ device: deviceCertificates.device })
        .from(deviceCertificates)
        .where(and(isEnded(nowMs), notExists(counting)))
        .orderBy(asc(deviceCertificates.device));
      return rows.map(({ device }) => device);
    },
  };
}
