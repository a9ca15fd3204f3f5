/** One message as it arrives. `retained` is true when the broker kept it for late subscribers. */
export interface BusMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
}

export interface PublishOptions {
  /** 1 (default): the promise settles at the broker's PUBACK. 0: when the bytes are handed to the socket. */
  readonly qos?: 0 | 1;
  readonly retain?: boolean;
}

/** Published by the broker when the connection ends without a goodbye. */
export interface Will {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}

export interface BusSession {
  /** True when the broker still knew this client's subscriptions. They are renewed in either case. */
  readonly sessionPresent: boolean;
}

export type BusHandler = (message: BusMessage) => void | Promise<void>;
/** Ends what was begun: a listener or a subscription. */
export type Unsubscribe = () => void;

export type BusErrorCode =
  | "bus_closed"
  | "bus_offline"
  | "publish_failed"
  | "publish_too_large"
  | "subscribe_refused"
  | "subscribe_failed";

/**
 * A connection that comes back by itself. While it is down, `publish` fails at once with `bus_offline`: durability is
 * the caller's outbox, never a queue in here.
 */
export interface BusConnection {
  readonly connected: boolean;
  /** @throws CodedError `bus_offline` · `bus_closed` · `publish_failed` · `publish_too_large` */
  publish(topic: string, payload: Uint8Array, options?: PublishOptions): Promise<void>;
  /**
   * Remembered across reconnects, also when called while offline. Handlers run in order of arrival.
   * @throws CodedError `subscribe_refused` · `subscribe_failed` · `bus_closed`
   */
  subscribe(filters: readonly string[], handler: BusHandler): Promise<Unsubscribe>;
  /** Called after every connect, when all subscriptions stand; at once when connected already. */
  onConnect(listener: (session: BusSession) => void): Unsubscribe;
  onDisconnect(listener: (reason: string) => void): Unsubscribe;
  /** Says goodbye (no will), ends within a second. Idempotent. */
  close(): Promise<void>;
}

export interface BusConnectOptions {
  readonly clientId: string;
  /** Asked before each attempt, so that the will can carry the number of the session that begins. */
  readonly will?: () => Will;
}

/** Something that can be connected to. */
export interface Bus {
  /** Returns at once; connecting goes on in the background until `close`. */
  connect(options: BusConnectOptions): BusConnection;
}
