import type { Broker, BrokerOptions } from "./broker-options.ts";
import { openTlsDoor } from "./tls-door.ts";
import { parsePeerIdentity } from "./peer-identity.ts";
import { createPermissions } from "./permissions.ts";
import { startBroker, type DoorKeeper } from "./start-broker.ts";

/**
 * An MQTT 3.1.1 broker with mutual TLS for the devices of one tenant.
 * @throws CodedError `port_taken` · `broker_open_failed`
 */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const { tls, tenant } = options;
  const openDoor = ({ limits, onRefusal, begin }: DoorKeeper) =>
    openTlsDoor({
      ...{ limits, onRefusal, tls },
      onVisitor: ({ socket, admit }) => {
        const identity = parsePeerIdentity(socket.getPeerCertificate());
        if (identity === undefined || identity.tenant !== tenant) {
          const from = socket.remoteAddress ?? "";
          onRefusal({ what: "connection", why: "the certificate names no device of this tenant", from });
          socket.destroy();
          return;
        }
        const address = socket.remoteAddress;
        const visitor = address === undefined ? identity : { ...identity, address };
        begin({ socket, onAdmit: admit }, { identity: visitor, permissions: createPermissions(identity) });
      },
    });
  return await startBroker({ ...options, openDoor });
}
