import type { Egress } from "@fairlead/egress";
import { CodedError, toErrorMessage, type Clock } from "@fairlead/kernel";
import type {
  CreateWebhookRequest,
  CreateWebhookResponse,
  HttpErrorCode,
  Webhook,
  WebhookDelivery,
  WebhookDetail,
} from "@fairlead/protocol";
import type { Repositories, Store, WebhookDeliveryRow, WebhookRow } from "@fairlead/store";
import type { Asker, AuditLog } from "../context.ts";
import type { Alerts } from "../alerts/alerts.ts";
import type { WebhookOutbox } from "./outbox.ts";
import type { SecretSeal } from "./secret-seal.ts";
import { createWebhookSecret } from "./signature.ts";

/** Each has a connection at a time, so their number bounds what the plane does for them. */
const maxWebhooks = 32;
const shownDeliveries = 50;

export interface WebhookServiceOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly egress: Egress;
  readonly seal: SecretSeal;
  readonly outbox: WebhookOutbox;
  readonly alerts: Pick<Alerts, "resolve">;
  readonly createId: (prefix: string) => string;
}

export interface WebhookService {
  create(request: CreateWebhookRequest, by: Asker): Promise<CreateWebhookResponse>;
  list(): Promise<Webhook[]>;
  get(webhookId: string): Promise<WebhookDetail>;
  remove(webhookId: string, by: Asker): Promise<void>;
  /** Queues one message for it, also when it is disabled. */
  test(webhookId: string, by: Asker): Promise<WebhookDelivery>;
}

async function toWebhook(from: Repositories, row: WebhookRow): Promise<Webhook> {
  const { sealedSecret: _secret, alertId: _alert, ...shown } = row;
  return { ...shown, pending: await from.webhookDeliveries.countPending(row.webhookId) };
}

function toDelivery({ webhookId: _webhook, body: _body, ...shown }: WebhookDeliveryRow): WebhookDelivery {
  return shown;
}

async function requireRow(from: Repositories, webhookId: string): Promise<WebhookRow> {
  const row = await from.webhooks.get(webhookId);
  if (row !== undefined) return row;
  throw new CodedError<HttpErrorCode>("not_found", `there is no webhook ${webhookId}`, {
    hint: "see them with: fairlead webhooks list",
  });
}

export function createWebhookService(options: WebhookServiceOptions): WebhookService {
  const { store, clock, audit, seal, outbox } = options;

  /** Judged now so that a mistake is told at once; each delivery judges again. */
  const requireTarget = async (url: string): Promise<void> => {
    await options.egress.check(url).catch((error: unknown) => {
      throw new CodedError<HttpErrorCode>("webhook_url_refused", toErrorMessage(error), {
        cause: error,
        hint: "name an https address on the internet; the plane's --webhook-networks can list networks of your own",
      });
    });
  };

  return {
    create: async ({ url, description, events }, by) => {
      await requireTarget(url);
      const webhookId = options.createId("whk");
      const secret = createWebhookSecret();
      const webhook = await store.transaction(async (tx) => {
        if ((await tx.webhooks.list()).length >= maxWebhooks)
          throw new CodedError<HttpErrorCode>("webhook_limit", `there are ${maxWebhooks} webhooks already`, {
            hint: "delete one that nobody needs: fairlead webhooks list",
          });
        const row: WebhookRow = {
          ...{ webhookId, url, description, events, state: "active", reason: null, alertId: null },
          ...{ sealedSecret: seal.seal(secret, webhookId), createdAtMs: clock.nowMs(), createdBy: by.actor },
          lastDeliveredAtMs: null,
        };
        await tx.webhooks.add(row);
        // The path may hold what only the receiver should know.
        const change = { before: null, after: { origin: new URL(url).origin, events, description } };
        await audit.append(tx, { ...by, action: "webhook.create", subject: webhookId, reason: "asked for", change });
        return await toWebhook(tx, row);
      });
      return { webhook, secret };
    },
    list: async () => {
      const rows = await store.read.webhooks.list();
      return await Promise.all(rows.map((row) => toWebhook(store.read, row)));
    },
    get: async (webhookId) => {
      const webhook = await toWebhook(store.read, await requireRow(store.read, webhookId));
      const rows = await store.read.webhookDeliveries.listOf(webhookId, shownDeliveries);
      return { webhook, deliveries: rows.map(toDelivery) };
    },
    remove: (webhookId, by) =>
      store.transaction(async (tx) => {
        const { alertId, url, events, description } = await requireRow(tx, webhookId);
        await tx.webhooks.remove(webhookId);
        if (alertId !== null) await options.alerts.resolve(tx, alertId);
        const change = { before: { origin: new URL(url).origin, events, description }, after: null };
        await audit.append(tx, { ...by, action: "webhook.delete", subject: webhookId, reason: "asked for", change });
      }),
    test: (webhookId, by) =>
      store.transaction(async (tx) => {
        const row = await requireRow(tx, webhookId);
        const data = { webhookId, askedBy: by.actor };
        const deliveryId = await outbox.enqueue(tx, row, { type: "webhook.test", subject: webhookId, data });
        const change = { before: null, after: { deliveryId } };
        await audit.append(tx, { ...by, action: "webhook.test", subject: webhookId, reason: "asked for", change });
        const queued = await tx.webhookDeliveries.get(deliveryId);
        if (queued === undefined) throw new Error(`delivery ${deliveryId} was not stored`);
        return toDelivery(queued);
      }),
  };
}
