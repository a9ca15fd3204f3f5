import type { Clock, Logger } from "@fairlead/kernel";
import type { Store, Transaction, WebhookDeliveryRow, WebhookRow } from "@fairlead/store";
import type { Alerts } from "../alerts/alerts.ts";
import { disabledWebhookAlert } from "../alerts/kinds.ts";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { AuditLog } from "../context.ts";
import { decideDelivery, type DeliveryPolicy, type Outcome } from "./decide-delivery.ts";

export interface RecordOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: AuditLog;
  readonly alerts: Pick<Alerts, "fire" | "resolve">;
  /** In [0, 1). */
  readonly random: () => number;
  readonly policy: DeliveryPolicy;
}

const by = toOwnDecision("webhooks");

/** Nothing more is sent; an alert says so, and the other receivers hear of it. */
async function disable(tx: Transaction, webhook: WebhookRow, options: RecordOptions & { readonly why: string }) {
  const { webhookId, url } = webhook;
  const nowMs = options.clock.nowMs();
  const host = new URL(url).host;
  const reason = `gave up after nothing was taken: ${options.why}`;
  const summary = `webhook ${webhookId} (${host}) is disabled: ${reason}`;
  // First of all, so that it is not told of its own end.
  await tx.webhooks.update(webhookId, { state: "disabled", reason });
  await tx.webhookDeliveries.discardPending(webhookId, { reason: "webhook_disabled", endedAtMs: nowMs });
  const alert = { kind: disabledWebhookAlert, device: null, summary, remediationId: null };
  await tx.webhooks.update(webhookId, { alertId: await options.alerts.fire(tx, alert) });
  await options.audit.append(tx, {
    ...{ ...by, action: "webhook.disable", subject: webhookId, reason, details: { host } },
    change: { before: { state: webhook.state }, after: { state: "disabled" } },
  });
}

/** A test that was taken proves that the receiver is back. */
async function enable(tx: Transaction, webhook: WebhookRow, options: RecordOptions): Promise<void> {
  const { webhookId, alertId } = webhook;
  await tx.webhooks.update(webhookId, { state: "active", reason: null, alertId: null });
  if (alertId !== null) await options.alerts.resolve(tx, alertId);
  const reason = "it took a test";
  const change = { before: { state: webhook.state }, after: { state: "active" } };
  await options.audit.append(tx, { ...by, action: "webhook.enable", subject: webhookId, reason, change });
}

/** Writes what one attempt came to and what follows from it, in one transaction. */
export function createOutcomeRecorder(options: RecordOptions) {
  const { store, clock, policy } = options;
  return (attempted: WebhookDeliveryRow, outcome: Outcome): Promise<void> =>
    store.transaction(async (tx) => {
      const delivery = await tx.webhookDeliveries.get(attempted.deliveryId);
      const webhook = await tx.webhooks.get(attempted.webhookId);
      // Deleted, or ended by a disabling, while the attempt was under way.
      if (delivery?.state !== "pending" || webhook === undefined) return;
      const nowMs = clock.nowMs();
      const { attempts, createdAtMs } = delivery;
      const state = { attempts, createdAtMs, lastDeliveredAtMs: webhook.lastDeliveredAtMs };
      const decision = decideDelivery(state, outcome, { nowMs, random: options.random(), policy });
      const why = outcome.kind === "taken" ? null : `${outcome.code}: ${outcome.message}`;
      const tried = { attempts: attempts + 1, lastAttemptAtMs: nowMs, status: outcome.status, reason: why };
      const ended = { ...tried, endedAtMs: nowMs, nextAttemptAtMs: null };
      const { deliveryId, webhookId } = delivery;
      switch (decision.kind) {
        case "delivered":
          await tx.webhookDeliveries.update(deliveryId, { ...ended, state: "delivered" });
          await tx.webhooks.update(webhookId, { lastDeliveredAtMs: nowMs });
          if (webhook.state === "disabled") await enable(tx, webhook, options);
          return;
        case "try-again":
          // A receiver that was given up gets one attempt per test.
          if (webhook.state === "disabled")
            await tx.webhookDeliveries.update(deliveryId, { ...ended, state: "failed" });
          else await tx.webhookDeliveries.update(deliveryId, { ...tried, nextAttemptAtMs: decision.atMs });
          return;
        case "give-up":
          await tx.webhookDeliveries.update(deliveryId, { ...ended, state: "failed" });
          options.logger.warn("a webhook's message was given up", { webhook: webhookId, delivery: deliveryId });
          await options.audit.append(tx, {
            ...{ ...by, action: "webhook.give-up", subject: webhookId, reason: why ?? "" },
            change: { before: { state: delivery.state }, after: { state: "failed" } },
            details: { deliveryId, attempts: attempts + 1, status: outcome.status },
          });
          if (decision.disables && webhook.state === "active")
            await disable(tx, webhook, { ...options, why: why ?? "" });
      }
    });
}
