import { createDevicesClient, type DevicesClient } from "./resources/devices.ts";
import { createEnrolmentsClient, type EnrolmentsClient } from "./resources/enrolments.ts";
import { readEvents, type ReceivedEvent } from "./resources/events.ts";
import { createLoginClient, type LoginClient } from "./resources/login.ts";
import { createModelsClient, type ModelsClient } from "./resources/models.ts";
import { createObservationsClient, type ObservationsClient } from "./resources/observations.ts";
import { createRolloutsClient, type RolloutsClient } from "./resources/rollouts.ts";
import { createTokensClient, type TokensClient } from "./resources/tokens.ts";
import { createTrustClient, type TrustClient } from "./resources/trust.ts";
import { createWebhooksClient, type WebhooksClient } from "./resources/webhooks.ts";
import { createTransport, type TransportOptions } from "./transport.ts";

/** Typed access to a control plane: one method per endpoint, every answer parsed, every failure a `ClientError`. */
export interface Client {
  readonly server: string;
  readonly devices: DevicesClient;
  readonly enrolments: EnrolmentsClient;
  readonly login: LoginClient;
  readonly models: ModelsClient;
  readonly rollouts: RolloutsClient;
  readonly tokens: TokensClient;
  readonly trust: TrustClient;
  readonly webhooks: WebhooksClient;
  readonly observations: ObservationsClient;
  /** Server-sent events from `lastEventId` on; resumes by itself, ends with `signal`. */
  events(lastEventId: string | null, signal: AbortSignal): AsyncGenerator<ReceivedEvent, void, undefined>;
}

export function createClient(options: TransportOptions): Client {
  const transport = createTransport(options);
  return {
    server: options.server,
    devices: createDevicesClient(transport),
    enrolments: createEnrolmentsClient(transport),
    login: createLoginClient(transport),
    models: createModelsClient(transport),
    rollouts: createRolloutsClient(transport),
    tokens: createTokensClient(transport),
    trust: createTrustClient(transport),
    webhooks: createWebhooksClient(transport),
    observations: createObservationsClient(transport),
    events: (lastEventId, signal) => readEvents(transport, lastEventId, signal),
  };
}
