import type { AddressInfo } from "node:net";
import { CodedError, silentLogger, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { Aedes } from "aedes";
import {
  defaultBrokerLimits,
  type Broker,
  type BrokerLimits,
  type BrokerOptions,
  type ListenOptions,
} from "./broker-options.ts";
import { Backlogs } from "./backlogs.ts";
import { countRefusal, createCounters, type Refusal } from "./counters.ts";
import type { Door } from "./door.ts";
import { SocketGuard, type SocketGuardOptions } from "./socket-guard.ts";
import { createSessions, type Peer } from "./sessions.ts";

/** What a kind of broker adds: how strangers come in and what they may do. */
export interface DoorKeeper {
  readonly limits: BrokerLimits;
  readonly onRefusal: (refusal: Refusal) => void;
  /** Hands a socket to the library behind its guards. */
  readonly begin: (visitor: Pick<SocketGuardOptions, "socket" | "onAdmit">, peer: Omit<Peer, "guard">) => void;
}

export interface StartOptions
  extends ListenOptions, Pick<BrokerOptions, "authenticate" | "isStillInForce" | "mayTakeOver" | "onMessage"> {
  readonly openDoor: (keeper: DoorKeeper) => Door;
}

/**
 * Door, guards, library and sessions, the same for every kind of broker.
 * @throws CodedError `port_taken` · `broker_open_failed`
 */
export async function startBroker(options: StartOptions): Promise<Broker> {
  const limits = { ...defaultBrokerLimits, ...options.limits };
  const logger = options.logger ?? silentLogger;
  const counters = createCounters();
  const outbound = new Backlogs(limits.outboundBytesInAll, () => performance.now());
  const onRefusal = options.onRefusal ?? (() => undefined);
  const sessions = createSessions({ ...options, limits, logger, counters, onRefusal });
  const aedes = await Aedes.createBroker({ ...sessions.hooks, connectTimeout: limits.connectTimeoutMs });
  sessions.watch(aedes);

  const door = options.openDoor({
    limits,
    onRefusal(refusal) {
      countRefusal(counters, refusal);
      logger.debug("a connection was refused", { ...refusal });
      onRefusal(refusal);
    },
    begin(visitor, peer) {
      const onThrottle = () => void (counters.heldBack += 1);
      const guard = new SocketGuard({ ...visitor, limits, outbound, onThrottle });
      sessions.begin(aedes.handle(visitor.socket), { ...peer, guard });
    },
  });
  const { server } = door;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  }).catch(async (error: unknown) => {
    await new Promise<void>((resolve) => aedes.close(resolve));
    throw toOpenError(error, options);
  });
  server.on("error", (error) => logger.error("the broker's listener failed", { error: toErrorMessage(error) }));

  const address = server.address() as AddressInfo;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => server.close(() => resolve()));
    await new Promise<void>((resolve) => aedes.close(resolve));
    door.destroyAll();
    await ended;
  };
  return {
    host: options.host,
    port: address.port,
    async publish(topic, payload, { qos = 1, retain = false } = {}) {
      if (closing !== undefined) throw new CodedError("broker_closed", "the broker was closed");
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      counters.sent += 1;
      await new Promise<void>((resolve, reject) =>
        aedes.publish({ cmd: "publish", topic, payload: bytes, qos, retain, dup: false }, (error) =>
          error ? reject(new CodedError("broker_publish_failed", error.message, { cause: error })) : resolve(),
        ),
      );
    },
    onDeviceMessage: (handler) => sessions.onDeviceMessage(handler),
    disconnectDevice: (device) => sessions.disconnect(device),
    disconnectExpired: (nowMs) => sessions.disconnectExpired(nowMs),
    isConnected: (device) => sessions.isConnected(device),
    stats: () => ({
      ...counters,
      connections: door.connections,
      devices: sessions.count(),
      outboundBytes: outbound.bytes,
      retainedBytes: sessions.retainedBytes(),
    }),
    close: () => (closing ??= close()),
  };
}

function toOpenError(error: unknown, { host, port }: ListenOptions): CodedError {
  if (toErrorCode(error) === "EADDRINUSE") {
    return new CodedError("port_taken", `port ${port} on ${host} is in use`, {
      cause: error,
      hint: "stop the other program or choose another one with --mqtt-port",
    });
  }
  return new CodedError("broker_open_failed", toErrorMessage(error), {
    cause: error,
    hint: "check the address, the port and the broker's key and certificate",
  });
}
