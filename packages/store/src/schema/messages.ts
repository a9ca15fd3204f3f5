import type {
  CloudEvent,
  EnergyMethod,
  EnergyWindow,
  EventData,
  Evidence,
  HostMetrics,
  SlotWindow,
} from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** How far one epoch of a device's outbox is stored. */
export const deviceEpochs = defineTable(
  "device_epochs",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    /** Everything up to and including this sequence number is stored, or declared lost and counted in `gaps`. */
    storedUpTo: column.integer().notNull(),
    gaps: column.integer().notNull(),
    gapSinceMs: column.timeMs(),
    touchedAtMs: column.timeMs().notNull(),
  }),
  ["device", "epoch"],
);
export type DeviceEpoch = typeof deviceEpochs.$inferSelect;

/** Stored messages beyond the contiguous part. */
export const receivedAhead = defineTable(
  "received_ahead",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    seq: column.integer().notNull(),
  }),
  ["device", "epoch", "seq"],
);

export const slotWindows = defineTable(
  "slot_windows",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    seq: column.integer().notNull(),
    position: column.integer().notNull(),
    slot: column.text().notNull(),
    model: column.text().notNull(),
    version: column.text().notNull(),
    buildDigest: column.text().notNull(),
    /** Device clock. */
    t0Ms: column.timeMs().notNull(),
    t1Ms: column.timeMs().notNull(),
    /** End of the window in the plane's time: the time to query by. */
    atMs: column.timeMs().notNull(),
    receivedMs: column.timeMs().notNull(),
    window: column.json<SlotWindow>().notNull(),
    /** How the window's energy was found; null for windows of before this was kept. */
    energyMethod: column.text().$type<EnergyMethod>(),
  }),
  ["device", "epoch", "seq", "position"],
);
export type SlotWindowRow = typeof slotWindows.$inferSelect;

export const hostWindows = defineTable(
  "host_windows",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    seq: column.integer().notNull(),
    position: column.integer().notNull(),
    t0Ms: column.timeMs().notNull(),
    t1Ms: column.timeMs().notNull(),
    atMs: column.timeMs().notNull(),
    receivedMs: column.timeMs().notNull(),
    mergedWindows: column.integer().notNull(),
    host: column.json<HostMetrics>().notNull(),
    energy: column.json<EnergyWindow>().notNull(),
  }),
  ["device", "epoch", "seq", "position"],
);
export type HostWindowRow = typeof hostWindows.$inferSelect;

export const events = defineTable(
  "events",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    seq: column.integer().notNull(),
    kind: column.text().$type<EventData["kind"]>().notNull(),
    tsMs: column.timeMs().notNull(),
    receivedMs: column.timeMs().notNull(),
    event: column.json<CloudEvent>().notNull(),
  }),
  ["device", "epoch", "seq"],
);
export type EventRow = typeof events.$inferSelect;

export const evidence = defineTable(
  "evidence",
  (column) => ({
    device: column.text().notNull(),
    epoch: column.text().notNull(),
    seq: column.integer().notNull(),
    chainIndex: column.integer().notNull(),
    receivedMs: column.timeMs().notNull(),
    evidence: column.json<Evidence>().notNull(),
    verdict: column.json<unknown>().notNull(),
  }),
  ["device", "epoch", "seq"],
);
export type EvidenceRow = typeof evidence.$inferSelect;

export const deadLetters = defineTable("dead_letters", (column) => ({
  id: column.serial(),
  device: column.text().notNull(),
  topic: column.text().notNull(),
  code: column.text().notNull(),
  reason: column.text().notNull(),
  sizeBytes: column.integer().notNull(),
  /** The first bytes, base64. */
  head: column.text().notNull(),
  receivedMs: column.timeMs().notNull(),
}));
export type DeadLetter = typeof deadLetters.$inferSelect;
