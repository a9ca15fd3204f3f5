import type { AuditEntry, StreamEvent } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** Append-only; triggers of the engine refuse change and deletion, the hash chain shows what went round them. */
export const audit = defineTable("audit", (column) => ({
  index: column.integer().primaryKey(),
  tsMs: column.timeMs().notNull(),
  actor: column.text().notNull(),
  action: column.text().notNull(),
  subject: column.text().notNull(),
  reason: column.text().notNull(),
  details: column.json<AuditEntry["details"]>().notNull(),
  previous: column.text().notNull(),
  hash: column.text().notNull(),
}));

/** The last events of the live stream, so that a listener can resume. */
export const streamEvents = defineTable("stream_events", (column) => ({
  id: column.serial(),
  kind: column.text().$type<StreamEvent["kind"]>().notNull(),
  subject: column.text().notNull(),
  tsMs: column.timeMs().notNull(),
}));
export type StreamEventRow = typeof streamEvents.$inferSelect;

/** Writes with an `Idempotency-Key`: noted before they begin, with status 0, and again with the answer that was given. */
export const idempotencyKeys = defineTable(
  "idempotency_keys",
  (column) => ({
    actor: column.text().notNull(),
    key: column.text().notNull(),
    requestHash: column.text().notNull(),
    status: column.integer().notNull(),
    answer: column.json<{ readonly body: unknown; readonly etag: string | null }>().notNull(),
    tsMs: column.timeMs().notNull(),
  }),
  ["actor", "key"],
);
export type IdempotencyKey = typeof idempotencyKeys.$inferSelect;

export const settings = defineTable("settings", (column) => ({
  name: column.text().primaryKey(),
  value: column.json<unknown>().notNull(),
}));
