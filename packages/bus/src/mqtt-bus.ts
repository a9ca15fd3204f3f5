import { connect as connectTls } from "node:tls";
import { isIP } from "node:net";
import {
  CodedError,
  silentLogger,
  toBackoffDelayMs,
  toErrorMessage,
  type BackoffPolicy,
  type Logger,
} from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import { MqttClient } from "mqtt";
import { writeToStream } from "mqtt-packet";
import type { Bus, BusConnection, BusConnectOptions, BusErrorCode, BusSession } from "./bus.ts";
import { createFrameGuard } from "./frame-guard.ts";
import { createListeners } from "./listeners.ts";
import { createSubscriptions } from "./subscriptions.ts";

export interface MqttBusOptions {
  readonly host: string;
  readonly port: number;
  /** PEM texts: the client's own key and certificate, and the authority that signed the broker's. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string; readonly servername?: string };
  /** Asked before each attempt; false: there is nothing to show yet, so it waits. */
  readonly mayConnect?: () => boolean;
  readonly keepaliveS?: number;
  readonly connectTimeoutMs?: number;
  readonly publishTimeoutMs?: number;
  readonly maxPacketBytes?: number;
  /** false (default): the broker is asked to remember the session. */
  readonly clean?: boolean;
  readonly backoff?: BackoffPolicy;
  readonly random?: () => number;
  readonly logger?: Logger;
}

const defaultBackoff: BackoffPolicy = { baseMs: 500, maxMs: 60_000 };

/** MQTT 3.1.1 over TLS with a client certificate. Every attempt is a fresh client: nothing is queued between two. */
export function createMqttBus(options: MqttBusOptions): Bus {
  // It would keep a Buffer for each of the 65,536 packet identifiers: 7 MB for a device that sends some each second.
  writeToStream.cacheNumbers = false;
  return { connect: (connectOptions) => connectMqtt(options, connectOptions) };
}

function fail(code: BusErrorCode, message: string, cause?: unknown): CodedError<BusErrorCode> {
  return new CodedError(code, message, { cause });
}

function openClient(options: MqttBusOptions, { clientId, will }: BusConnectOptions): MqttClient {
  const lastWill = will?.();
  const { host, port, tls } = options;
  const servername = tls.servername ?? (isIP(host) === 0 ? host : undefined);
  const client = new MqttClient(
    () => {
      const socket = connectTls({
        host,
        port,
        key: tls.key,
        cert: tls.cert,
        ca: tls.ca,
        minVersion: "TLSv1.2",
        rejectUnauthorized: true,
        ...(servername === undefined ? {} : { servername }),
      });
      const guard = createFrameGuard({
        maxPacketBytes: options.maxPacketBytes ?? limits.mqttPayloadBytes + 1_024,
        connectFirst: false,
      });
      socket.on("data", (chunk: Buffer) => {
        const reason = guard.feed(chunk);
        if (reason !== undefined) socket.destroy(new Error(reason));
      });
      socket.on("error", (error) => client.emit("error", error));
      return socket as unknown as ReturnType<ConstructorParameters<typeof MqttClient>[0]>;
    },
    {
      clientId,
      protocolVersion: 4,
      clean: options.clean ?? false,
      keepalive: options.keepaliveS ?? 30,
      connectTimeout: options.connectTimeoutMs ?? 15_000,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      ...(lastWill === undefined
        ? {}
        : {
            will: {
              topic: lastWill.topic,
              payload: Buffer.from(lastWill.payload),
              qos: 1 as const,
              retain: lastWill.retain,
            },
          }),
    },
  );
  return client;
}

function connectMqtt(options: MqttBusOptions, connectOptions: BusConnectOptions): BusConnection {
  const logger = options.logger ?? silentLogger;
  const random = options.random ?? Math.random;
  const connects = createListeners<BusSession>();
  const disconnects = createListeners<string>();
  const subscriptions = createSubscriptions((error, topic) =>
    logger.error("a message handler failed", { topic, error: toErrorMessage(error) }),
  );
  const pending = new Set<(error: CodedError) => void>();
  let client: MqttClient | undefined;
  let session: BusSession | undefined;
  let timer: NodeJS.Timeout | undefined;
  let attempt = 0;
  let closed = false;

  function settle<Value>(begin: (done: (error: unknown, value?: Value) => void) => void): Promise<Value | undefined> {
    return new Promise((resolve, reject) => {
      const end = (error: CodedError): void => finish(() => reject(error));
      const deadline = setTimeout(
        () => end(fail("publish_failed", "the broker did not acknowledge in time")),
        options.publishTimeoutMs ?? 20_000,
      );
      const finish = (act: () => void): void => {
        clearTimeout(deadline);
        pending.delete(end);
        act();
      };
      pending.add(end);
      begin((error, value) => {
        if (error instanceof CodedError) end(error);
        else if (error) end(fail("publish_failed", toErrorMessage(error), error));
        else finish(() => resolve(value));
      });
    });
  }

  async function subscribeNow(filters: readonly string[]): Promise<void> {
    const current = client;
    if (current === undefined || filters.length === 0) return;
    await settle<undefined>((done) =>
      current.subscribe([...filters], { qos: 1 }, (error, granted) => {
        const refused = (granted ?? []).filter((grant) => grant.qos === 128).map((grant) => grant.topic);
        if (refused.length > 0) done(fail("subscribe_refused", `the broker refuses ${refused.join(", ")}`));
        else done(error === null ? null : fail("subscribe_failed", toErrorMessage(error), error));
      }),
    );
  }

  function openAgain(reason: string): void {
    const delayMs = toBackoffDelayMs(options.backoff ?? defaultBackoff, attempt, random());
    attempt += 1;
    logger.info("will connect again", { delayMs, attempt, reason });
    timer = setTimeout(open, delayMs);
  }

  function open(): void {
    if (options.mayConnect?.() === false) {
      timer = setTimeout(open, toBackoffDelayMs(options.backoff ?? defaultBackoff, 0, random()));
      return;
    }
    let current: MqttClient;
    try {
      current = openClient(options, connectOptions);
    } catch (error) {
      // Key, certificate or will cannot be had now: an attempt that failed like any other.
      return openAgain(toErrorMessage(error));
    }
    client = current;
    let ended = false;
    let lastError = "the connection ended";
    const end = (): void => {
      if (ended) return;
      ended = true;
      current.end(true);
      const wasConnected = session !== undefined;
      session = undefined;
      client = undefined;
      for (const reject of [...pending]) reject(fail("bus_offline", lastError));
      if (wasConnected) disconnects.call(lastError);
      if (!closed) openAgain(lastError);
    };
    current.on("error", (error) => {
      lastError = toErrorMessage(error);
      end();
    });
    current.on("close", end);
    current.on("message", (topic, payload, packet) =>
      subscriptions.dispatch({ topic, payload, retained: packet.retain }),
    );
    current.on("connect", (connack) => {
      void subscribeNow(subscriptions.filters())
        .catch((error: unknown) => logger.error("cannot subscribe", { error: toErrorMessage(error) }))
        .then(() => {
          if (ended) return;
          attempt = 0;
          session = { sessionPresent: connack.sessionPresent };
          connects.call(session);
        });
    });
  }

  open();
  return {
    get connected() {
      return session !== undefined;
    },
    async publish(topic, payload, { qos = 1, retain = false } = {}) {
      if (closed) throw fail("bus_closed", "the connection was closed");
      if (payload.byteLength > limits.mqttPayloadBytes) throw fail("publish_too_large", `${payload.byteLength} bytes`);
      const current = client;
      if (current === undefined || session === undefined)
        throw fail("bus_offline", "there is no connection to the broker");
      const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
      await settle<undefined>((done) => current.publish(topic, bytes, { qos, retain }, (error) => done(error)));
    },
    async subscribe(filters, handler) {
      if (closed) throw fail("bus_closed", "the connection was closed");
      const remove = subscriptions.add(filters, handler);
      if (session === undefined) return remove;
      try {
        await subscribeNow(filters);
      } catch (error) {
        // A connection lost meanwhile subscribes again by itself; only a refusal is final.
        if (!(error instanceof CodedError) || error.code !== "bus_offline") {
          remove();
          throw error;
        }
      }
      return remove;
    },
    onConnect(listener) {
      const remove = connects.add(listener);
      if (session !== undefined) listener(session);
      return remove;
    },
    onDisconnect: (listener) => disconnects.add(listener),
    async close() {
      if (closed) return;
      closed = true;
      clearTimeout(timer);
      const current = client;
      if (current === undefined) return;
      await new Promise<void>((resolve) => {
        const forced = setTimeout(() => current.end(true, () => resolve()), 800);
        current.end(session === undefined, () => {
          clearTimeout(forced);
          resolve();
        });
      });
    },
  };
}
