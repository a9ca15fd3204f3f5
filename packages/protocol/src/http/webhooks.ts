import * as z from "zod";
import { idSchema, timestampMsSchema } from "../ids.ts";

/** What a receiver can be told of. `webhook.test` is sent on demand only. */
export const webhookEventSchema = z.enum([
  "alert.firing",
  "alert.resolved",
  "rollout.succeeded",
  "rollout.failed",
  "rollout.paused",
  "rollout.rolled-back",
  "rollout.canceled",
  "remediation.resolved",
  "remediation.failed",
]);
export const webhookMessageTypeSchema = z.enum([...webhookEventSchema.options, "webhook.test"]);

export const createWebhookRequestSchema = z.strictObject({
  url: z.string().min(1).max(2_048),
  description: z.string().max(200).default(""),
  /** Default: every event. */
  events: z
    .array(webhookEventSchema)
    .min(1)
    .max(32)
    .default([...webhookEventSchema.options])
    .transform((events) => [...new Set(events)]),
});

export const webhookDeliverySchema = z.object({
  /** The `webhook-id` header: the same at every attempt, so that a receiver can tell a repetition. */
  deliveryId: idSchema,
  type: webhookMessageTypeSchema,
  /** What it is about: an alert's, rollout's or remediation's id. */
  subject: z.string(),
  state: z.enum(["pending", "delivered", "failed", "discarded"]),
  attempts: z.int().min(0),
  createdAtMs: timestampMsSchema,
  nextAttemptAtMs: timestampMsSchema.nullable(),
  lastAttemptAtMs: timestampMsSchema.nullable(),
  endedAtMs: timestampMsSchema.nullable(),
  /** HTTP status of the last answer; null when there was none. */
  status: z.int().nullable(),
  /** Why the last attempt or the delivery as a whole failed, with a code first; null when nothing did. */
  reason: z.string().nullable(),
});

export const webhookSchema = z.object({
  webhookId: idSchema,
  url: z.string(),
  description: z.string(),
  events: z.array(webhookEventSchema),
  state: z.enum(["active", "disabled"]),
  /** Why it is disabled; null while it is active. */
  reason: z.string().nullable(),
  createdAtMs: timestampMsSchema,
  createdBy: z.string(),
  /** When the receiver last took something; null = never. */
  lastDeliveredAtMs: timestampMsSchema.nullable(),
  pending: z.int().min(0),
});

/** `secret` is shown once. Its form is that of Standard Webhooks: `whsec_` and base64 of 32 bytes. */
export const createWebhookResponseSchema = z.object({ webhook: webhookSchema, secret: z.string() });
/** The newest deliveries come first. */
export const webhookDetailSchema = z.object({ webhook: webhookSchema, deliveries: z.array(webhookDeliverySchema) });

export type WebhookEvent = z.infer<typeof webhookEventSchema>;
export type WebhookMessageType = z.infer<typeof webhookMessageTypeSchema>;
export type CreateWebhookRequest = z.infer<typeof createWebhookRequestSchema>;
export type CreateWebhookResponse = z.infer<typeof createWebhookResponseSchema>;
export type Webhook = z.infer<typeof webhookSchema>;
export type WebhookDelivery = z.infer<typeof webhookDeliverySchema>;
export type WebhookDetail = z.infer<typeof webhookDetailSchema>;
