import { isIP } from "node:net";
import { CodedError } from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import type { Broker, ListenOptions } from "./broker-options.ts";
import { openCountedDoor } from "./door.ts";
import { refuseForm, type Greeting, type GreetingRefusal, type Permissions, type Publication } from "./permissions.ts";
import { startBroker } from "./start-broker.ts";

/** Interoperability suites ask for one filter that nobody may subscribe to. */
const refusedFilter = "test/nosubscribe";
const filtersPerConnection = 64;
const clientId = /^[A-Za-z0-9][A-Za-z0-9 ._:-]{0,63}$|^$/u;
const reserved = /^\$(?:SYS|share)(?:\/|$)/u;

/** What an anonymous client may do: everything that MQTT 3.1.1 offers, but nothing that is reserved. */
class AnonymousPermissions implements Permissions {
  readonly keepsSession = true;
  readonly #filters = new Set<string>();

  refuseConnect(greeting: Greeting): GreetingRefusal | undefined {
    const form = refuseForm(greeting);
    if (form !== undefined) return form;
    if (!clientId.test(greeting.clientId)) return { why: "a client id of another form", returnCode: 2 };
    const why = greeting.will === undefined ? undefined : this.refusePublish(greeting.will);
    return why === undefined ? undefined : { why: `its will: ${why}`, returnCode: 5 };
  }

  refusePublish({ topic, payload }: Publication): string | undefined {
    if (payload.length > limits.mqttPayloadBytes) return "the payload is too large";
    return reserved.test(topic) ? "the topic is reserved" : undefined;
  }

  maySubscribe(filter: string): boolean {
    if (filter === refusedFilter || reserved.test(filter)) return false;
    if (this.#filters.has(filter)) return true;
    if (this.#filters.size >= filtersPerConnection) return false;
    this.#filters.add(filter);
    return true;
  }

  mayReceive(topic: string): boolean {
    return topic !== refusedFilter && !reserved.test(topic);
  }
}

/**
 * The embedded broker for conformance suites: plain TCP on loopback, anonymous clients, sessions that are kept, quality
 * of service 2; door, guards and caps are those of the product. No configuration of the control plane leads here.
 * @throws CodedError `config_invalid` when the address is not of this machine alone · `port_taken` · `broker_open_failed`
 */
export async function openConformanceBroker(options: ListenOptions): Promise<Broker> {
  const { host } = options;
  if (host !== "::1" && !(isIP(host) === 4 && host.startsWith("127.")))
    throw new CodedError("config_invalid", `anonymous clients are not served on ${host}`, { hint: "use 127.0.0.1" });
  return await startBroker({
    ...options,
    // Clients without keep-alive are among the cases.
    limits: { keepaliveMaxS: 0, ...options.limits },
    authenticate: async () => false,
    openDoor: ({ limits: bounds, onRefusal, begin }) =>
      openCountedDoor({
        limits: bounds,
        onRefusal,
        onVisitor: ({ socket, admit }) =>
          begin({ socket, onAdmit: admit }, { identity: undefined, permissions: new AnonymousPermissions() }),
      }),
  });
}
