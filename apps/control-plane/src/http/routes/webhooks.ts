import {
  createWebhookRequestSchema,
  createWebhookResponseSchema,
  idSchema,
  listQuerySchema,
  toListSchema,
  webhookDeliverySchema,
  webhookDetailSchema,
  webhookSchema,
} from "@fairlead/protocol";
import * as z from "zod";
import type { WebhookService } from "../../webhooks/service.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const params = z.strictObject({ webhook: idSchema });

/** An administrator's: an address may hold a secret of the receiver, and naming one makes the plane connect to it. */
export function createWebhookRoutes(service: WebhookService): readonly AnyRoute[] {
  return [
    defineRoute({
      ...{ method: "POST", path: "/api/v1/webhooks", permission: "administer" },
      summary: "Tell an address of alerts and outcomes; the secret of its signatures is shown once",
      audit: ["webhook.create"],
      request: { body: createWebhookRequestSchema },
      response: createWebhookResponseSchema,
      errors: ["webhook_url_refused", "webhook_limit"],
      // A kept answer would keep the secret.
      idempotent: false,
      handle: async ({ body, by }) => ({ status: 201, body: await service.create(body, by) }),
    }),
    defineRoute({
      ...{ method: "GET", path: "/api/v1/webhooks", permission: "administer" },
      summary: "Webhooks, oldest first",
      request: { query: listQuerySchema },
      response: toListSchema(webhookSchema),
      handle: async () => ({ body: { items: await service.list(), nextCursor: null } }),
    }),
    defineRoute({
      ...{ method: "GET", path: "/api/v1/webhooks/:webhook", permission: "administer" },
      summary: "One webhook with its newest deliveries and what came of each",
      request: { params },
      response: webhookDetailSchema,
      errors: ["not_found"],
      handle: async ({ params: { webhook } }) => ({ body: await service.get(webhook) }),
    }),
    defineRoute({
      ...{ method: "DELETE", path: "/api/v1/webhooks/:webhook", permission: "administer" },
      summary: "Delete a webhook and what waits for it",
      audit: ["webhook.delete"],
      request: { params },
      response: null,
      errors: ["not_found"],
      handle: async ({ params: { webhook }, by }) => {
        await service.remove(webhook, by);
        return { status: 204, body: null as never };
      },
    }),
    defineRoute({
      ...{ method: "POST", path: "/api/v1/webhooks/:webhook/test", permission: "administer" },
      summary: "Send one test message; a disabled webhook that takes it is enabled again",
      audit: ["webhook.test"],
      request: { params },
      response: webhookDeliverySchema,
      errors: ["not_found"],
      handle: async ({ params: { webhook }, by }) => ({ status: 202, body: await service.test(webhook, by) }),
    }),
  ];
}
