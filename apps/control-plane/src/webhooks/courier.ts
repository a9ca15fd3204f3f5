import { EgressError, type Egress } from "@fairlead/egress";
import {
  toErrorCode,
  toErrorMessage,
  type Clock,
  type Logger,
  toBackoffDelayMs,
  type BackoffPolicy,
} from "@fairlead/kernel";
import type { Store, WebhookDeliveryRow, WebhookRow } from "@fairlead/store";
import { createReconcileLoop, type Found, type ReconcileLoop } from "../reconcile-loop.ts";
import type { Outcome } from "./decide-delivery.ts";
import type { SecretSeal } from "./secret-seal.ts";
import { signMessage } from "./signature.ts";

const tickMs = 1_000;
const rewrite: BackoffPolicy = { baseMs: 1_000, maxMs: 60_000 };
/** The one who writes is alone with its disk: nothing is to be spread. */
const withoutJitter = 1;

export interface CourierOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly egress: Egress;
  readonly seal: SecretSeal;
  /** Writes what an attempt came to. */
  readonly record: (delivery: WebhookDeliveryRow, outcome: Outcome) => Promise<void>;
}

/** What an attempt came to and could not be written yet. */
interface Unwritten {
  readonly delivery: WebhookDeliveryRow;
  readonly outcome: Outcome;
  readonly failures: number;
  readonly retryAtMs: number;
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
  /** By webhook. Its receiver gets nothing before this is written, or it would get the same message again. */
  const unwritten = new Map<string, Unwritten>();
  let giveUp = new AbortController();

  const write = async (delivery: WebhookDeliveryRow, outcome: Outcome): Promise<void> => {
    const { webhookId } = delivery;
    try {
      await options.record(delivery, outcome);
      unwritten.delete(webhookId);
    } catch (error) {
      const failures = (unwritten.get(webhookId)?.failures ?? 0) + 1;
      const waitMs = toBackoffDelayMs(rewrite, failures - 1, withoutJitter);
      unwritten.set(webhookId, { delivery, outcome, failures, retryAtMs: clock.nowMs() + waitMs });
      throw error;
    }
  };

  const deliver = async (delivery: WebhookDeliveryRow): Promise<void> => {
    const webhook = await store.read.webhooks.get(delivery.webhookId);
    if (webhook === undefined) return;
    const outcome = await attempt(options, { webhook, delivery }, giveUp.signal);
    // What the end of this process cut off is tried again after the next start.
    if (giveUp.signal.aborted) return;
    await write(delivery, outcome);
  };

  /** The next piece of work for one receiver; undefined while there is none. */
  const begin = async (webhookId: string): Promise<(() => Promise<void>) | undefined> => {
    const owed = unwritten.get(webhookId);
    if (owed !== undefined)
      return owed.retryAtMs > clock.nowMs() ? undefined : () => write(owed.delivery, owed.outcome);
    const delivery = await store.read.webhookDeliveries.findDue(webhookId, clock.nowMs());
    return delivery === undefined ? undefined : () => deliver(delivery);
  };

  const run = async (): Promise<Found> => {
    const webhooks = await store.read.webhooks.list();
    const present = new Set(webhooks.map(({ webhookId }) => webhookId));
    for (const webhookId of unwritten.keys()) if (!present.has(webhookId)) unwritten.delete(webhookId);
    for (const webhookId of present) {
      if (inFlight.has(webhookId)) continue;
      const next = await begin(webhookId);
      if (next === undefined) continue;
      const work = next()
        .catch((error: unknown) => logger.error("a webhook's delivery failed", { error: toErrorMessage(error) }))
        .finally(() => {
          inFlight.delete(webhookId);
          loop.wake();
        });
      inFlight.set(webhookId, work);
    }
    return "work";
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
