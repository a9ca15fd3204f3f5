import { and, asc, count, desc, eq, lt, lte, ne } from "drizzle-orm";
import type { Database } from "../database.ts";
import { webhookDeliveries, webhooks, type WebhookDeliveryRow, type WebhookRow } from "../schema/webhooks.ts";

export interface WebhookRepository {
  get(webhookId: string): Promise<WebhookRow | undefined>;
  /** Oldest first. */
  list(): Promise<WebhookRow[]>;
  add(row: WebhookRow): Promise<void>;
  update(webhookId: string, change: Partial<Omit<WebhookRow, "webhookId">>): Promise<void>;
  /** With everything that was to be delivered to it. */
  remove(webhookId: string): Promise<void>;
}

export function createWebhookRepository(db: Database): WebhookRepository {
  return {
    get: async (webhookId) => (await db.select().from(webhooks).where(eq(webhooks.webhookId, webhookId)).limit(1))[0],
    list: async () => await db.select().from(webhooks).orderBy(asc(webhooks.webhookId)),
    add: async (row) => {
      await db.insert(webhooks).values(row);
    },
    update: async (webhookId, change) => {
      await db.update(webhooks).set(change).where(eq(webhooks.webhookId, webhookId));
    },
    remove: async (webhookId) => {
      await db.delete(webhookDeliveries).where(eq(webhookDeliveries.webhookId, webhookId));
      await db.delete(webhooks).where(eq(webhooks.webhookId, webhookId));
    },
  };
}

export interface WebhookDeliveryRepository {
  get(deliveryId: string): Promise<WebhookDeliveryRow | undefined>;
  add(row: WebhookDeliveryRow): Promise<void>;
  update(deliveryId: string, change: Partial<Omit<WebhookDeliveryRow, "deliveryId">>): Promise<void>;
  /** The one of a receiver whose time has come first. */
  findDue(webhookId: string, nowMs: number): Promise<WebhookDeliveryRow | undefined>;
  /** Newest first. */
  listOf(webhookId: string, limit: number): Promise<WebhookDeliveryRow[]>;
  countPending(webhookId: string): Promise<number>;
  /** The oldest one that waits. */
  findOldestPending(webhookId: string): Promise<WebhookDeliveryRow | undefined>;
  /** Ends what waits for a receiver that takes nothing any more. */
  discardPending(webhookId: string, change: { readonly reason: string; readonly endedAtMs: number }): Promise<void>;
  /** Forgets ended ones beyond the newest `keep`. */
  trimEnded(webhookId: string, keep: number): Promise<void>;
}

export function createWebhookDeliveryRepository(db: Database): WebhookDeliveryRepository {
  const table = webhookDeliveries;
  const pendingOf = (webhookId: string) => and(eq(table.webhookId, webhookId), eq(table.state, "pending"));
  return {
    get: async (deliveryId) => (await db.select().from(table).where(eq(table.deliveryId, deliveryId)).limit(1))[0],
    add: async (row) => {
      await db.insert(table).values(row);
    },
    update: async (deliveryId, change) => {
      await db.update(table).set(change).where(eq(table.deliveryId, deliveryId));
    },
    findDue: async (webhookId, nowMs) =>
      (
        await db
          .select()
          .from(table)
          .where(and(pendingOf(webhookId), lte(table.nextAttemptAtMs, nowMs)))
          .orderBy(asc(table.nextAttemptAtMs), asc(table.deliveryId))
          .limit(1)
      )[0],
    listOf: async (webhookId, limit) =>
      await db.select().from(table).where(eq(table.webhookId, webhookId)).orderBy(desc(table.deliveryId)).limit(limit),
    countPending: async (webhookId) =>
      (await db.select({ rows: count() }).from(table).where(pendingOf(webhookId)))[0]?.rows ?? 0,
    findOldestPending: async (webhookId) =>
      (await db.select().from(table).where(pendingOf(webhookId)).orderBy(asc(table.deliveryId)).limit(1))[0],
    discardPending: async (webhookId, { reason, endedAtMs }) => {
      const change = { state: "discarded", reason, endedAtMs, nextAttemptAtMs: null } as const;
      await db.update(table).set(change).where(pendingOf(webhookId));
    },
    trimEnded: async (webhookId, keep) => {
      const ended = and(eq(table.webhookId, webhookId), ne(table.state, "pending"));
      const [oldestKept] = await db
        .select({ deliveryId: table.deliveryId })
        .from(table)
        .where(ended)
        .orderBy(desc(table.deliveryId))
        .limit(1)
        .offset(keep - 1);
      if (oldestKept === undefined) return;
      await db.delete(table).where(and(ended, lt(table.deliveryId, oldestKept.deliveryId)));
    },
  };
}
