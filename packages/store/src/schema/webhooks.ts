import type { Webhook, WebhookDelivery, WebhookEvent } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

export const webhooks = defineTable("webhooks", (column) => ({
  webhookId: column.text().primaryKey(),
  url: column.text().notNull(),
  description: column.text().notNull(),
  events: column.json<WebhookEvent[]>().notNull(),
  /** Sealed with a key that is not in the database. */
  sealedSecret: column.text().notNull(),
  state: column.text().$type<Webhook["state"]>().notNull(),
  reason: column.text(),
  /** The alert that says it is disabled. */
  alertId: column.text(),
  createdAtMs: column.timeMs().notNull(),
  createdBy: column.text().notNull(),
  /** When it last took something. */
  lastDeliveredAtMs: column.timeMs(),
}));
export type WebhookRow = typeof webhooks.$inferSelect;

/** The outbox: written with what it tells of, so that neither is without the other. */
export const webhookDeliveries = defineTable("webhook_deliveries", (column) => ({
  deliveryId: column.text().primaryKey(),
  webhookId: column.text().notNull(),
  type: column.text().$type<WebhookDelivery["type"]>().notNull(),
  subject: column.text().notNull(),
  /** The bytes that are signed and sent. */
  body: column.text().notNull(),
  state: column.text().$type<WebhookDelivery["state"]>().notNull(),
  attempts: column.integer().notNull(),
  createdAtMs: column.timeMs().notNull(),
  nextAttemptAtMs: column.timeMs(),
  lastAttemptAtMs: column.timeMs(),
  endedAtMs: column.timeMs(),
  status: column.integer(),
  reason: column.text(),
}));
export type WebhookDeliveryRow = typeof webhookDeliveries.$inferSelect;
