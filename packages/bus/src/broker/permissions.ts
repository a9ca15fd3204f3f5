import { limits, mayDevicePublish, parseTopic, toDeviceFilters } from "@fairlead/protocol";
import type { PeerIdentity } from "./peer-identity.ts";

export interface Publication {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: number;
  readonly retain?: boolean;
}

export interface Greeting {
  readonly protocolVersion?: number;
  readonly clientId: string;
  readonly clean?: boolean;
  readonly will?: Publication;
}

/** Why a CONNECT is refused, and the code that CONNACK gives: 2 identifier, 5 not authorized (MQTT 3.1.1 §3.2.2.3). */
export interface GreetingRefusal {
  readonly why: string;
  readonly returnCode: 2 | 5;
}

/** What one connection may do. Everything that is not named here is refused, `$SYS` and `$share` included. */
export interface Permissions {
  readonly keepsSession: boolean;
  refuseConnect(greeting: Greeting): GreetingRefusal | undefined;
  /** Why the publication, or the will, is refused; undefined admits it. */
  refusePublish(publication: Publication): string | undefined;
  maySubscribe(filter: string): boolean;
  mayReceive(topic: string): boolean;
}

/** What holds whoever connects. */
export function refuseForm(greeting: Greeting): GreetingRefusal | undefined {
  // Another level's fields are not those that were checked before.
  if (greeting.protocolVersion !== 4) return { why: "it speaks another version than MQTT 3.1.1", returnCode: 5 };
  // [MQTT-3.1.3-8]
  if (greeting.clientId === "" && greeting.clean !== true)
    return { why: "an empty client id cannot have a session that is kept", returnCode: 2 };
  return undefined;
}

const retainedChannels: ReadonlySet<string> = new Set(["birth", "status"]);

/** The rules of a device: its own `up/`, its own `down/`, the plane's status, and nothing kept while it is away. */
class DevicePermissions implements Permissions {
  readonly #identity: PeerIdentity;
  /** Topics without an id are few per device and repeat for ever; their verdict is kept. */
  #own: Set<string> | undefined;
  readonly keepsSession = false;

  constructor(identity: PeerIdentity) {
    this.#identity = identity;
  }

  refuseConnect(greeting: Greeting): GreetingRefusal | undefined {
    const form = refuseForm(greeting);
    if (form !== undefined) return form;
    if (greeting.clientId !== this.#identity.device)
      return { why: "the client id is not the certificate's device", returnCode: 5 };
    const why = greeting.will === undefined ? undefined : this.refusePublish(greeting.will);
    return why === undefined ? undefined : { why: `its will: ${why}`, returnCode: 5 };
  }

  refusePublish({ topic, payload, qos = 0, retain = false }: Publication): string | undefined {
    if (qos > 1) return "quality of service 2 is not offered";
    if (payload.length > limits.mqttPayloadBytes) return "the payload is too large";
    if (!retain && this.#own?.has(topic) === true) return undefined;
    if (!mayDevicePublish(this.#identity, topic)) return "the topic is not the device's own";
    const parsed = parseTopic(topic);
    if (parsed?.kind !== "up") return retain ? "a reply is never retained" : undefined;
    if (retain) return retainedChannels.has(parsed.channel) ? undefined : `${parsed.channel} is never retained`;
    (this.#own ??= new Set()).add(topic);
    return undefined;
  }

  maySubscribe(filter: string): boolean {
    return toDeviceFilters(this.#identity.tenant, this.#identity.device).includes(filter);
  }

  mayReceive(topic: string): boolean {
    const { tenant, device } = this.#identity;
    const parsed = parseTopic(topic);
    if (parsed?.kind === "host") return parsed.tenant === tenant;
    if (parsed?.kind !== "down" && parsed?.kind !== "command") return false;
    return parsed.tenant === tenant && parsed.device === device;
  }
}

export function createPermissions(identity: PeerIdentity): Permissions {
  return new DevicePermissions(identity);
}
