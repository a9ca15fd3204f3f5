import { EgressError, type Egress } from "@fairlead/egress";
import { toErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import type { Store, WebhookDeliveryRow, WebhookRow } from "@fairlead/store";
import { createReconcileLoop, type ReconcileLoop } from "../reconcile-loop.ts";
import type { Outcome } from "./decide-delivery.ts";
import type { SecretSeal } from "./secret-seal.ts";
import { signMessage } from "./signature.ts";

const tickMs = 1_000;

export interface CourierOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly egress: Egress;
  readonly seal: SecretSeal;
  /** Writes what an attempt came to. */
  readonly record: (delivery: WebhookDeliveryRow, outcome: Outcome) => Promise<void>;
}

function toOutcome(error: unknown): Outcome {
  const code = toErrorCode(error) ?? "internal";
  return { kind: "failed", status: null, code, message: toErrorMessage(error).slice(0, 300) };
}

/** One attempt. The answer is read to its end within the caps: a receiver that pours or drips has not taken it. */
async function attempt(
  options: CourierOptions,
  { webhook, delivery }: { readonly webhook: WebhookRow; readonly delivery: WebhookDeliveryRow },
  signal: AbortSignal,
): Promise<Outcome> {
  const { body, deliveryId } = delivery;
  try {
    const secret = options.seal.open(webhook.sealedSecret, webhook.webhookId);
    const signed = signMessage(secret, { deliveryId, nowMs: options.clock.nowMs(), body });
    const { status } = await options.egress.send({
      method: "POST",
      url: webhook.url,
      headers: { ...signed, "content-type": "application/json", "user-agent": "fairlead" },
      body: Buffer.from(body, "utf8"),
      signal,
    });
    if (status >= 200 && status <= 299) return { kind: "taken", status };
    return { kind: "failed", status, code: "status", message: `the receiver answered ${status}` };
  } catch (error) {
    return toOutcome(error);
  }
}

/**
 * Delivers what is due. Each receiver has one message in flight, so a slow one delays nobody else and sees its messages one
 * after another; how many receivers there can be bounds the rest.
 */
export function createCourier(options: CourierOptions): ReconcileLoop {
  const { store, clock, logger } = options;
  const inFlight = new Map<string, Promise<void>>();
  let giveUp = new AbortController();

  const deliver = async (delivery: WebhookDeliveryRow): Promise<void> => {
    const webhook = await store.read.webhooks.get(delivery.webhookId);
    if (webhook === undefined) return;
    const outcome = await attempt(options, { webhook, delivery }, giveUp.signal);
    // What the end of this process cut off is tried again after the next start.
    if (giveUp.signal.aborted) return;
    await options.record(delivery, outcome);
  };

  const run = async (): Promise<void> => {
    for (const { webhookId } of await store.read.webhooks.list()) {
      if (inFlight.has(webhookId)) continue;
      const delivery = await store.read.webhookDeliveries.findDue(webhookId, clock.nowMs());
      if (delivery === undefined) continue;
      const work = deliver(delivery)
        .catch((error: unknown) => logger.error("a webhook's delivery failed", { error: toErrorMessage(error) }))
        .finally(() => {
          inFlight.delete(webhookId);
          loop.wake();
        });
      inFlight.set(webhookId, work);
    }
  };
  const loop = createReconcileLoop({ name: "webhooks", everyMs: tickMs, logger, run });
  return {
    wake: () => loop.wake(),
    start: () => {
      giveUp = new AbortController();
      loop.start();
    },
    stop: async () => {
      giveUp.abort(new EgressError("aborted", "the plane stops"));
      await loop.stop();
      await Promise.all(inFlight.values());
    },
  };
}
