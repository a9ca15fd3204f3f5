import { createHmac, randomBytes } from "node:crypto";

/** Standard Webhooks 1.0: `whsec_` and base64 of the key. 32 bytes are as much as SHA-256 uses. */
export function createWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString("base64")}`;
}

export interface SignedMessage {
  readonly deliveryId: string;
  /** Time of the attempt, so that an old copy can be told by its age. */
  readonly nowMs: number;
  readonly body: string;
}

/** The three headers of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, version `v1`. */
export function signMessage(secret: string, { deliveryId, nowMs, body }: SignedMessage): Record<string, string> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const key = Buffer.from(secret.replace(/^whsec_/u, ""), "base64");
  const signature = createHmac("sha256", key).update(`${deliveryId}.${timestamp}.${body}`, "utf8").digest("base64");
  return { "webhook-id": deliveryId, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}
