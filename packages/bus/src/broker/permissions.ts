import { limits, mayDevicePublish, parseTopic, toDeviceFilters, toTopic } from "@fairlead/protocol";
import type { PeerIdentity } from "./peer-identity.ts";

interface Publication {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: number;
  readonly retain?: boolean;
}

/** What one device may do. Everything that is not named here is refused, `$SYS` and `$share` included. */
export interface Permissions {
  /** Why the publication, or the will, is refused; undefined admits it. */
  refusePublish(publication: Publication): string | undefined;
  maySubscribe(filter: string): boolean;
  mayReceive(topic: string): boolean;
}

const retainedChannels: ReadonlySet<string> = new Set(["birth", "status"]);

export function createPermissions(identity: PeerIdentity): Permissions {
  const filters = new Set(toDeviceFilters(identity.tenant, identity.device));
  const hostTopic = toTopic({ kind: "host", tenant: identity.tenant });
  const admitted = new Set<string>();

  function refuseTopic(topic: string, retain: boolean): string | undefined {
    // Topics without an id are few per device and repeat for ever; their verdict is kept.
    if (!retain && admitted.has(topic)) return undefined;
    if (!mayDevicePublish(identity, topic)) return "the topic is not the device's own";
    const parsed = parseTopic(topic);
    if (parsed?.kind !== "up") return retain ? "a reply is never retained" : undefined;
    if (retain) return retainedChannels.has(parsed.channel) ? undefined : `${parsed.channel} is never retained`;
    admitted.add(topic);
    return undefined;
  }

  return {
    refusePublish({ topic, payload, qos = 0, retain = false }) {
      if (qos > 1) return "quality of service 2 is not offered";
      if (payload.length > limits.mqttPayloadBytes) return "the payload is too large";
      return refuseTopic(topic, retain);
    },
    maySubscribe: (filter) => filters.has(filter),
    mayReceive(topic) {
      if (topic === hostTopic) return true;
      const parsed = parseTopic(topic);
      if (parsed?.kind !== "down" && parsed?.kind !== "command") return false;
      return parsed.tenant === identity.tenant && parsed.device === identity.device;
    },
  };
}
