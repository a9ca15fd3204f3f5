import type { Clock } from "@fairlead/kernel";
import type { WebhookMessageType } from "@fairlead/protocol";
import type { Transaction, WebhookRow } from "@fairlead/store";
import type { Announcements } from "../context.ts";

/** What waits for one receiver; beyond it the oldest is given up, so that what is newest is told. */
const maxPending = 500;
const keepEnded = 100;

export interface Message {
  readonly type: WebhookMessageType;
  readonly subject: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface WebhookOutbox extends Announcements {
  /** Queues one message for one receiver, whatever it asked for. @returns its delivery's id */
  enqueue(tx: Transaction, webhook: Pick<WebhookRow, "webhookId">, message: Message): Promise<string>;
  /** Called after the commit of what was queued. */
  onQueued(listener: () => void): void;
}

export interface OutboxOptions {
  readonly clock: Clock;
  readonly createId: (prefix: string) => string;
}

/** Standard Webhooks 1.0 §payload: `type`, `timestamp`, `data`. */
function toBody({ type, data }: Message, nowMs: number): string {
  return JSON.stringify({ type, timestamp: new Date(nowMs).toISOString(), data });
}

export function createWebhookOutbox({ clock, createId }: OutboxOptions): WebhookOutbox {
  const listeners: (() => void)[] = [];
  const enqueue: WebhookOutbox["enqueue"] = async (tx, { webhookId }, message) => {
    const nowMs = clock.nowMs();
    if ((await tx.webhookDeliveries.countPending(webhookId)) >= maxPending) {
      const oldest = await tx.webhookDeliveries.findOldestPending(webhookId);
      const change = { state: "discarded", reason: `queue_full: ${maxPending} messages wait` } as const;
      if (oldest !== undefined)
        await tx.webhookDeliveries.update(oldest.deliveryId, { ...change, endedAtMs: nowMs, nextAttemptAtMs: null });
    }
    await tx.webhookDeliveries.trimEnded(webhookId, keepEnded);
    const deliveryId = createId("whd");
    await tx.webhookDeliveries.add({
      ...{ deliveryId, webhookId, type: message.type, subject: message.subject },
      ...{ body: toBody(message, nowMs), state: "pending", attempts: 0, createdAtMs: nowMs, nextAttemptAtMs: nowMs },
      ...{ lastAttemptAtMs: null, endedAtMs: null, status: null, reason: null },
    });
    tx.afterCommit(() => {
      for (const listener of listeners) listener();
    });
    return deliveryId;
  };
  return {
    enqueue,
    announce: async (tx, message) => {
      for (const webhook of await tx.webhooks.list()) {
        if (webhook.state === "active" && webhook.events.includes(message.type)) await enqueue(tx, webhook, message);
      }
    },
    onQueued: (listener) => listeners.push(listener),
  };
}
