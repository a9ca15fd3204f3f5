import { toErrorMessage, type Logger } from "@fairlead/kernel";
import type { Aedes, AedesOptions, Client } from "aedes";
import type { BrokerLimits, BrokerOptions, DeviceMessageHandler } from "./broker-options.ts";
import type { Counters } from "./counters.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import type { PeerIdentity } from "./peer-identity.ts";
import { createPermissions, type Permissions } from "./permissions.ts";

interface Session {
  readonly identity: PeerIdentity;
  readonly permissions: Permissions;
  readonly stream: GuardedStream;
  /** Why CONNECT must be refused, found before the certificate's state is asked for. */
  refusal: string | undefined;
}

export interface SessionsOptions extends Pick<BrokerOptions, "authenticate" | "onMessage"> {
  readonly limits: BrokerLimits;
  readonly logger: Logger;
  readonly counters: Counters;
}

export interface Sessions {
  readonly hooks: AedesOptions;
  watch(aedes: Aedes): void;
  begin(client: Client, peer: { readonly identity: PeerIdentity; readonly stream: GuardedStream }): void;
  onDeviceMessage(handler: DeviceMessageHandler): () => void;
  disconnect(device: string): boolean;
  isConnected(device: string): boolean;
  count(): number;
}

const authenticateTimeoutMs = 10_000;

/** Who is connected and what each may do: the broker's hooks, all closed unless a rule opens them. */
export function createSessions(options: SessionsOptions): Sessions {
  const { counters, logger, limits } = options;
  const sessions = new WeakMap<Client, Session>();
  const online = new Map<string, Client>();
  const handlers = new Set<DeviceMessageHandler>();
  if (options.onMessage !== undefined) handlers.add(options.onMessage);

  async function isInForce(identity: PeerIdentity): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), authenticateTimeoutMs);
    });
    try {
      return (await Promise.race([options.authenticate(identity), silence])) === true;
    } catch (error) {
      logger.error("a device could not be authenticated", { device: identity.device, error: toErrorMessage(error) });
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  function logUnhandled(topic: string, error: unknown): void {
    logger.error("a device message was not handled", { topic, error: toErrorMessage(error) });
  }

  /** Never rejects; undefined when every handler was done at once. */
  function hand(topic: string, payload: Uint8Array, identity: PeerIdentity): Promise<unknown> | undefined {
    let waits: Promise<void>[] | undefined;
    for (const handler of handlers) {
      try {
        const result = handler(topic, payload, identity);
        if (result !== undefined) (waits ??= []).push(result.catch((error: unknown) => logUnhandled(topic, error)));
      } catch (error) {
        logUnhandled(topic, error);
      }
    }
    return waits === undefined ? undefined : Promise.all(waits);
  }

  const hooks: AedesOptions = {
    preConnect(client, packet, done) {
      const session = sessions.get(client);
      if (session === undefined) return done(new Error("no identity"), false);
      // Another level's fields are not those that were checked before.
      if (packet.protocolVersion !== 4) session.refusal = "it speaks another version than MQTT 3.1.1";
      else if (packet.clientId !== session.identity.device)
        session.refusal = "the client id is not the certificate's device";
      else if (packet.will !== undefined) session.refusal = session.permissions.refusePublish(packet.will);
      // Nothing is kept for a device that is away: the plane sends again at its birth, and memory stays bounded.
      packet.clean = true;
      return done(null, true);
    },
    authenticate(...[client, , , done]) {
      const session = sessions.get(client);
      const refuse = (reason: string): void => {
        counters.refusedConnections += 1;
        logger.warn("a device was refused", { device: session?.identity.device, reason });
        // CONNACK 5: not authorized (MQTT 3.1.1 §3.2.2.3).
        done(Object.assign(new Error(reason), { returnCode: 5 as const }), false);
      };
      if (session === undefined) return refuse("no identity");
      if (session.refusal !== undefined) return refuse(session.refusal);
      const { identity } = session;
      return void (async () => {
        if (await isInForce(identity)) done(null, true);
        else refuse("the certificate is not in force");
      })();
    },
    authorizePublish(client, packet, done) {
      const session = client === null ? undefined : sessions.get(client);
      const reason = session === undefined ? "no identity" : session.permissions.refusePublish(packet);
      if (reason === undefined) return done(null);
      counters.refusedPublishes += 1;
      logger.warn("a publication was refused", {
        device: session?.identity.device,
        topic: packet.topic.slice(0, 128),
        reason,
      });
      // MQTT 3.1.1 has no refusal of a PUBLISH but to close the connection (§3.3.5).
      return done(new Error(reason));
    },
    authorizeSubscribe(client, subscription, done) {
      if (sessions.get(client)?.permissions.maySubscribe(subscription.topic) === true) return done(null, subscription);
      counters.refusedSubscriptions += 1;
      return done(null, null);
    },
    authorizeForward(client, packet) {
      const session = sessions.get(client);
      if (session?.permissions.mayReceive(packet.topic) !== true) return null;
      if (session.stream.unsentBytes <= limits.outboundBytes) return packet;
      session.stream.destroy(new Error("the device reads too slowly"));
      return null;
    },
    published(packet, client, done) {
      const session = client === null || client === undefined ? undefined : sessions.get(client);
      if (session === undefined) return done();
      counters.received += 1;
      const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
      const waiting = hand(packet.topic, payload, session.identity);
      if (waiting === undefined) return done();
      return void (async () => {
        await waiting;
        done();
      })();
    },
  };

  return {
    hooks,
    watch(aedes) {
      const countError = (client: Client, error: Error): void => {
        counters.protocolErrors += 1;
        logger.debug("a connection was closed", {
          device: sessions.get(client)?.identity.device,
          error: error.message,
        });
      };
      aedes.on("clientError", countError);
      aedes.on("connectionError", countError);
      aedes.on("client", (client) => void online.set(client.id, client));
      aedes.on("clientReady", (client) => sessions.get(client)?.stream.admit(limits.packetBytes));
      aedes.on("clientDisconnect", (client) => {
        if (online.get(client.id) === client) online.delete(client.id);
      });
      // An EventEmitter without this listener would end the process.
      (aedes as NodeJS.EventEmitter).on("error", (error: unknown) =>
        logger.error("the broker failed", { error: toErrorMessage(error) }),
      );
    },
    begin(client, { identity, stream }) {
      sessions.set(client, { identity, stream, permissions: createPermissions(identity), refusal: undefined });
    },
    onDeviceMessage(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    disconnect(device) {
      const client = online.get(device);
      if (client === undefined) return false;
      client.close();
      return true;
    },
    isConnected: (device) => online.has(device),
    count: () => online.size,
  };
}
