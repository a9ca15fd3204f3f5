import { createServer } from "node:tls";
import type { AddressInfo, Socket } from "node:net";
import { CodedError, silentLogger, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import { Aedes } from "aedes";
import { defaultBrokerLimits, type Broker, type BrokerOptions } from "./broker-options.ts";
import { createAddressCap } from "./address-cap.ts";
import { createCounters } from "./counters.ts";
import { GuardedStream } from "./guarded-stream.ts";
import { parsePeerIdentity } from "./peer-identity.ts";
import { createSessions } from "./sessions.ts";

/**
 * An MQTT 3.1.1 broker with mutual TLS for the devices of one tenant.
 * @throws CodedError `port_taken` · `broker_open_failed`
 */
export async function openBroker(options: BrokerOptions): Promise<Broker> {
  const limits = { ...defaultBrokerLimits, ...options.limits };
  const logger = options.logger ?? silentLogger;
  const counters = createCounters();
  const sessions = createSessions({ ...options, limits, logger, counters });
  const aedes = await Aedes.createBroker({
    ...sessions.hooks,
    connectTimeout: limits.connectTimeoutMs,
    drainTimeout: 20_000,
    keepaliveLimit: limits.keepaliveMaxS,
    maxTopicLevels: 8,
  });
  sessions.watch(aedes);

  const server = createServer({
    ...options.tls,
    minVersion: "TLSv1.2",
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: limits.connectTimeoutMs,
  });
  server.maxConnections = limits.connections;
  const sockets = new Set<Socket>();
  const cap = createAddressCap(limits.connectionsPerAddress);
  server.on("connection", (socket: Socket) => {
    const release = cap.take(socket.remoteAddress ?? "");
    if (release === undefined) {
      counters.refusedConnections += 1;
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      release();
    });
  });
  server.on("tlsClientError", (error) => {
    counters.refusedConnections += 1;
    logger.debug("a TLS handshake failed", { error: toErrorMessage(error) });
  });
  server.on("secureConnection", (socket) => {
    const identity = parsePeerIdentity(socket.getPeerCertificate());
    if (!socket.authorized || identity === undefined || identity.tenant !== options.tenant) {
      counters.refusedConnections += 1;
      logger.warn("a certificate names no device of this tenant", { identity });
      socket.destroy();
      return;
    }
    socket.setNoDelay(true);
    const stream = new GuardedStream(socket, limits.packetBytesBeforeConnect);
    const address = socket.remoteAddress;
    sessions.begin(aedes.handle(stream), {
      stream,
      identity: address === undefined ? identity : { ...identity, address },
    });
  });

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
    for (const socket of sockets) socket.destroy();
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
    isConnected: (device) => sessions.isConnected(device),
    stats: () => ({ ...counters, connections: sockets.size, devices: sessions.count() }),
    close: () => (closing ??= close()),
  };
}

function toOpenError(error: unknown, { host, port }: BrokerOptions): CodedError {
  if (toErrorCode(error) === "EADDRINUSE") {
    return new CodedError("port_taken", `port ${port} on ${host} is in use`, {
      cause: error,
      hint: "stop the other program or choose another MQTT port in the configuration",
    });
  }
  return new CodedError("broker_open_failed", toErrorMessage(error), {
    cause: error,
    hint: "check the address, the port and the broker's key and certificate",
  });
}
