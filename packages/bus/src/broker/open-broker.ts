import type { BrokerOptions, TlsBroker } from "./broker-options.ts";
import { openTlsDoor, type TlsDoor } from "./tls-door.ts";
import { parsePeerIdentity } from "./peer-identity.ts";
import { createPermissions } from "./permissions.ts";
import { startBroker, type DoorKeeper } from "./start-broker.ts";

/**
 * An MQTT 3.1.1 broker with mutual TLS for the devices of one tenant.
 * @throws CodedError `port_taken` · `broker_open_failed`
 */
export async function openBroker(options: BrokerOptions): Promise<TlsBroker> {
  const { tls, tenant } = options;
  let door: TlsDoor | undefined;
  const openDoor = ({ limits, onRefusal, begin }: DoorKeeper): TlsDoor =>
    (door = openTlsDoor({
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
    }));
  const broker = await startBroker({ ...options, openDoor });
  return { ...broker, setTls: (next) => door?.setTls(next) };
}
