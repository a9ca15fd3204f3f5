import { toErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
import type { Aedes, AedesOptions, Client } from "aedes";
import type { BrokerLimits, DeviceMessageHandler } from "./broker-options.ts";
import { createBoundedPersistence } from "./bounded-persistence.ts";
import { countRefusal, type Counters, type Refusal } from "./counters.ts";
import { GuardError, type SocketGuard } from "./socket-guard.ts";
import { createMessageHandlers } from "./message-handlers.ts";
import type { PeerIdentity } from "./peer-identity.ts";
import type { GreetingRefusal, Permissions } from "./permissions.ts";
import { RetainedQuota } from "./retained-quota.ts";

/** A connection before its CONNECT: what its certificate proves, and what that entitles it to. */
export interface Peer {
  /** Undefined for the anonymous clients of the conformance mode. */
  readonly identity: PeerIdentity | undefined;
  readonly permissions: Permissions;
  readonly guard: SocketGuard;
}

interface Session extends Peer {
  /** Why CONNECT must be refused, found before the certificate's state is asked for. */
  refusal: GreetingRefusal | undefined;
}

export interface SessionsOptions {
  readonly authenticate: (identity: PeerIdentity) => Promise<boolean>;
  readonly isStillInForce?: ((identity: PeerIdentity) => Promise<boolean>) | undefined;
  readonly mayTakeOver?: ((identity: PeerIdentity) => Promise<boolean>) | undefined;
  readonly onMessage?: DeviceMessageHandler | undefined;
  readonly limits: BrokerLimits;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly onRefusal: (refusal: Refusal) => void;
}

export interface Sessions {
  readonly hooks: AedesOptions;
  watch(aedes: Aedes): void;
  begin(client: Client, peer: Peer): void;
  onDeviceMessage(handler: DeviceMessageHandler): () => void;
  disconnect(device: string): boolean;
  disconnectExpired(nowMs: number): string[];
  isConnected(device: string): boolean;
  count(): number;
  retainedBytes(): number;
}

const authenticateTimeoutMs = 10_000;

/** A hook said no, and told so. */
class RefusedError extends Error {}

/** Who is connected and what each may do: the broker's hooks, all closed unless a rule opens them. */
export function createSessions(options: SessionsOptions): Sessions {
  const { counters, logger, limits } = options;
  const sessions = new WeakMap<Client, Session>();
  const online = new Map<string, Client>();
  const retained = new RetainedQuota({
    bytesPerClient: limits.retainedBytesPerClient,
    bytesInAll: limits.retainedBytes,
  });
  const handlers = createMessageHandlers(logger);
  if (options.onMessage !== undefined) handlers.add(options.onMessage);

  function refuse(session: Session | undefined, refusal: Pick<Refusal, "what" | "why" | "subject">): void {
    const device = session?.identity?.device;
    const { subject } = refusal;
    const told: Refusal = {
      ...refusal,
      from: session?.guard.remoteAddress ?? "",
      ...(subject === undefined ? {} : { subject: subject.slice(0, 128) }),
      ...(device === undefined ? {} : { device }),
    };
    countRefusal(counters, told);
    logger[told.what === "packet" ? "debug" : "warn"]("the broker refused", { ...told });
    options.onRefusal(told);
  }

  /** Silence and failure are a no. */
  async function ask(question: (identity: PeerIdentity) => Promise<boolean>, identity: PeerIdentity): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), authenticateTimeoutMs);
    });
    try {
      return (await Promise.race([question(identity), silence])) === true;
    } catch (error) {
      logger.error("a device could not be authenticated", { device: identity.device, error: toErrorMessage(error) });
      return false;
    } finally {
      clearTimeout(timer);
    }
  }

  const hooks: AedesOptions = {
    persistence: createBoundedPersistence({
      ...{ limits, counters },
      maySubscribe: (client, filter) => sessions.get(client as Client)?.permissions.maySubscribe(filter) === true,
    }),
    maxInflightInbound: limits.inflightQos2,
    maxTopicLevels: limits.topicLevels,
    keepaliveLimit: limits.keepaliveMaxS,
    preConnect(client, packet, done) {
      const session = sessions.get(client);
      if (session === undefined) return done(new Error("no identity"), false);
      session.refusal = session.permissions.refuseConnect(packet);
      // Nothing is kept for a device that is away: the plane sends again at its birth, and memory stays bounded.
      if (!session.permissions.keepsSession) packet.clean = true;
      return done(null, true);
    },
    authenticate(...[client, , , done]) {
      const session = sessions.get(client);
      const end = ({ why, returnCode }: GreetingRefusal): void => {
        refuse(session, { what: "connection", why, subject: client.id });
        done(Object.assign(new RefusedError(why), { returnCode }), false);
      };
      if (session === undefined) return end({ why: "no identity", returnCode: 5 });
      if (session.refusal !== undefined) return end(session.refusal);
      const { identity } = session;
      if (identity === undefined) return done(null, true);
      return void (async () => {
        const { authenticate, mayTakeOver } = options;
        if (!(await ask(authenticate, identity))) return end({ why: "the certificate is not in force", returnCode: 5 });
        if (mayTakeOver !== undefined && online.has(client.id) && !(await ask(mayTakeOver, identity)))
          return end({ why: "another connection of this device keeps the session", returnCode: 5 });
        return done(null, true);
      })();
    },
    authorizePublish(client, packet, done) {
      const session = client === null ? undefined : sessions.get(client);
      const why =
        client === null || session === undefined
          ? "no identity"
          : (session.permissions.refusePublish(packet) ??
            (packet.retain ? retained.take(client.id, packet.topic, packet.payload.length) : undefined));
      if (why === undefined) return done(null);
      refuse(session, { what: "publish", why, subject: packet.topic });
      // MQTT 3.1.1 has no refusal of a PUBLISH but to close the connection (§3.3.5).
      return done(new RefusedError(why));
    },
    authorizeSubscribe(client, subscription, done) {
      const session = sessions.get(client);
      if (session?.permissions.maySubscribe(subscription.topic) === true) return done(null, subscription);
      refuse(session, { what: "subscription", why: "the filter is not granted", subject: subscription.topic });
      return done(null, null);
    },
    authorizeForward(client, packet) {
      return sessions.get(client)?.permissions.mayReceive(packet.topic) === true ? packet : null;
    },
    published(packet, client, done) {
      const identity = (client as Client | null) === null ? undefined : sessions.get(client)?.identity;
      if (identity === undefined) return done();
      counters.received += 1;
      const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
      const waiting = handlers.hand(packet.topic, payload, identity);
      if (waiting === undefined) return done();
      return void (async () => {
        await waiting;
        done();
      })();
    },
  };

  /** Whoever was revoked between the first answer and this moment was in no list of sessions to end. */
  async function checkAgain(client: Client): Promise<void> {
    const session = sessions.get(client);
    const { isStillInForce } = options;
    if (session?.identity === undefined || isStillInForce === undefined) return;
    if (await ask(isStillInForce, session.identity)) return;
    refuse(session, { what: "connection", why: "the certificate is not in force any more", subject: client.id });
    client.close();
  }

  function noteEnd(client: Client, error: Error): void {
    const session = sessions.get(client);
    const why = error.message;
    if (error instanceof GuardError) refuse(session, { what: error.kind, why });
    // Until CONNECT is accepted a client has an id only when it said one.
    else if (client.id === null) refuse(session, { what: "connection", why });
    else if (error instanceof RefusedError || toErrorCode(error) !== undefined || why === "keep alive timeout")
      logger.debug("a connection ended", { device: session?.identity?.device, error: why });
    else refuse(session, { what: "packet", why });
  }

  return {
    hooks,
    watch(aedes) {
      aedes.on("clientError", noteEnd);
      aedes.on("connectionError", noteEnd);
      aedes.on("client", (client) => {
        online.set(client.id, client);
        void checkAgain(client);
      });
      aedes.on("clientReady", (client) => sessions.get(client)?.guard.admit());
      aedes.on("clientDisconnect", (client) => {
        if (online.get(client.id) === client) online.delete(client.id);
      });
      // An EventEmitter without this listener would end the process.
      (aedes as NodeJS.EventEmitter).on("error", (error: unknown) =>
        logger.error("the broker failed", { error: toErrorMessage(error) }),
      );
    },
    begin: (client, peer) => void sessions.set(client, { ...peer, refusal: undefined }),
    onDeviceMessage: (handler) => handlers.add(handler),
    disconnect(device) {
      const client = online.get(device);
      if (client === undefined) return false;
      client.close();
      return true;
    },
    disconnectExpired(nowMs) {
      // Written so that an end that is no time counts as over.
      const over = [...online].filter(
        ([, client]) => !((sessions.get(client)?.identity?.notAfterMs ?? Infinity) > nowMs),
      );
      for (const [, client] of over) client.close();
      return over.map(([device]) => device);
    },
    isConnected: (device) => online.has(device),
    count: () => online.size,
    retainedBytes: () => retained.usedBytes,
  };
}
