import { CodedError, type Logger, silentLogger, toErrorMessage } from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import type { Bus, BusConnection, BusConnectOptions, BusErrorCode, BusMessage, BusSession } from "./bus.ts";
import { createListeners } from "./listeners.ts";
import { createSubscriptions, type Subscriptions } from "./subscriptions.ts";
import { isCovered } from "./topic-filter.ts";

/** A bus within one process: same promises, no network. Retained messages live as long as the bus. */
export interface MemoryBus extends Bus {
  /** Cuts a client off without a goodbye: its will is published, and it stays away until `restore`. */
  interrupt(clientId: string): void;
  restore(clientId: string): void;
}

interface Member {
  readonly options: BusConnectOptions;
  readonly subscriptions: Subscriptions;
  disconnect(reason: string): void;
  connect(): void;
}

function fail(code: BusErrorCode, message: string): CodedError<BusErrorCode> {
  return new CodedError(code, message);
}

export function createMemoryBus(logger: Logger = silentLogger): MemoryBus {
  const online = new Map<string, Member>();
  const members = new Map<string, Member>();
  const retained = new Map<string, Uint8Array>();

  function deliver(message: BusMessage, retain: boolean): void {
    if (retain && message.payload.byteLength === 0) retained.delete(message.topic);
    else if (retain) retained.set(message.topic, message.payload);
    for (const member of online.values()) setImmediate(() => member.subscriptions.dispatch(message));
  }

  function replay(filters: readonly string[], member: Member): void {
    for (const [topic, payload] of retained) {
      if (!filters.some((filter) => isCovered(filter, topic))) continue;
      setImmediate(() => member.subscriptions.dispatch({ topic, payload, retained: true }));
    }
  }

  function connect(options: BusConnectOptions): BusConnection {
    const connects = createListeners<BusSession>();
    const disconnects = createListeners<string>();
    const session: BusSession = { sessionPresent: false };
    let closed = false;
    let will = options.will?.();
    const member: Member = {
      options,
      subscriptions: createSubscriptions((error, topic) =>
        logger.error("a message handler failed", { topic, error: toErrorMessage(error) }),
      ),
      disconnect(reason) {
        if (!online.delete(options.clientId)) return;
        if (will !== undefined) deliver({ topic: will.topic, payload: will.payload, retained: false }, will.retain);
        disconnects.call(reason);
      },
      connect() {
        if (closed || online.get(options.clientId) === member) return;
        will = options.will?.();
        online.set(options.clientId, member);
        replay(member.subscriptions.filters(), member);
        connects.call(session);
      },
    };
    // The same name connects once: the newcomer takes over (MQTT 3.1.1 §3.1.4).
    members.get(options.clientId)?.disconnect("taken over");
    members.set(options.clientId, member);
    setImmediate(() => {
      if (members.get(options.clientId) === member) member.connect();
    });
    const isOnline = (): boolean => online.get(options.clientId) === member;

    return {
      get connected() {
        return isOnline();
      },
      async publish(topic, payload, { retain = false } = {}) {
        if (closed) throw fail("bus_closed", "the connection was closed");
        if (payload.byteLength > limits.mqttPayloadBytes)
          throw fail("publish_too_large", `${payload.byteLength} bytes`);
        if (!isOnline()) throw fail("bus_offline", "there is no connection to the broker");
        deliver({ topic, payload: payload.slice(), retained: false }, retain);
        await new Promise((resolve) => setImmediate(resolve));
      },
      async subscribe(filters, handler) {
        if (closed) throw fail("bus_closed", "the connection was closed");
        const remove = member.subscriptions.add(filters, handler);
        if (isOnline()) replay(filters, member);
        return remove;
      },
      onConnect(listener) {
        const remove = connects.add(listener);
        if (isOnline()) listener(session);
        return remove;
      },
      onDisconnect: (listener) => disconnects.add(listener),
      async close() {
        if (closed) return;
        closed = true;
        will = undefined;
        member.disconnect("closed");
        if (members.get(options.clientId) === member) members.delete(options.clientId);
      },
    };
  }

  return {
    connect,
    interrupt: (clientId) => members.get(clientId)?.disconnect("interrupted"),
    restore: (clientId) => members.get(clientId)?.connect(),
  };
}
