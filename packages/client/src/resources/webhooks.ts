import {
  createWebhookResponseSchema,
  webhookDeliverySchema,
  webhookDetailSchema,
  webhookSchema,
  type CreateWebhookRequest,
  type CreateWebhookResponse,
  type Webhook,
  type WebhookDelivery,
  type WebhookDetail,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface WebhooksClient {
  create(request: CreateWebhookRequest): Promise<CreateWebhookResponse>;
  list(options?: ListOptions): Promise<Webhook[]>;
  get(webhookId: string): Promise<WebhookDetail>;
  remove(webhookId: string): Promise<void>;
  test(webhookId: string): Promise<WebhookDelivery>;
}

export function createWebhooksClient(transport: Transport): WebhooksClient {
  return {
    create: (json) => transport.read(createWebhookResponseSchema, { method: "POST", path: ["webhooks"], json }),
    list: (options) => readAll(transport, { path: ["webhooks"], item: webhookSchema }, options),
    get: (webhookId) => transport.read(webhookDetailSchema, { method: "GET", path: ["webhooks", webhookId] }),
    remove: async (webhookId) => {
      await transport.send({ method: "DELETE", path: ["webhooks", webhookId] });
    },
    test: (webhookId) =>
      transport.read(webhookDeliverySchema, { method: "POST", path: ["webhooks", webhookId, "test"] }),
  };
}
