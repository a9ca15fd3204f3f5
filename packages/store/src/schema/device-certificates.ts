import { defineTable } from "./define-table.ts";

/** What was issued to devices, until its end by the calendar. */
export const deviceCertificates = defineTable("device_certificates", (column) => ({
  /** Hexadecimal. */
  serial: column.text().primaryKey(),
  device: column.text().notNull(),
  notAfterMs: column.timeMs().notNull(),
  /** From when on it counted no more; null: it counts. */
  endedAtMs: column.timeMs(),
}));
export type DeviceCertificateRow = typeof deviceCertificates.$inferSelect;
