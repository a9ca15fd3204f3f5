import { createEgress, resolveBySystem, type Network } from "@fairlead/egress";
import type { PlaneContext, PlaneModule } from "../context.ts";
import { createWebhookRoutes } from "../http/routes/webhooks.ts";
import { createCourier } from "./courier.ts";
import { defaultDeliveryPolicy } from "./decide-delivery.ts";
import type { WebhookOutbox } from "./outbox.ts";
import { createOutcomeRecorder } from "./record-outcome.ts";
import { openSecretSeal } from "./secret-seal.ts";
import { createWebhookService } from "./service.ts";

export interface WebhookConfig {
  /** Networks that receivers may be in beside the internet. */
  readonly networks: readonly Network[];
  readonly allowsPlainHttp: boolean;
  readonly giveUpMs: number;
}

/** Receivers on the internet are reached where such receivers are; networks of one's own have ports of their own. */
const publicPorts = [443, 8_443];

export function createWebhookModule(
  context: PlaneContext,
  { outbox, config }: { readonly outbox: WebhookOutbox; readonly config: WebhookConfig },
): PlaneModule {
  const egress = createEgress({
    policy: {
      allowsPlainHttp: config.allowsPlainHttp,
      ports: config.networks.length === 0 ? publicPorts : "any",
      addresses: { kind: "public-only", alsoNetworks: config.networks },
    },
    resolve: resolveBySystem,
    clock: context.clock,
  });
  const seal = openSecretSeal(context.dataFolder);
  const policy = { ...defaultDeliveryPolicy, giveUpMs: config.giveUpMs };
  const record = createOutcomeRecorder({ ...context, policy, random: () => Math.random() });
  const courier = createCourier({ ...context, egress, seal, record });
  outbox.onQueued(() => courier.wake());
  return {
    name: "webhooks",
    routes: createWebhookRoutes(createWebhookService({ ...context, egress, seal, outbox })),
    hooks: {},
    start: async () => courier.start(),
    stop: () => courier.stop(),
  };
}
