import type { Logger } from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import type { Counters, Refusal } from "./counters.ts";
import type { PeerIdentity } from "./peer-identity.ts";
import type { BrokerTls } from "./tls-door.ts";

/** Every bound of the broker. What is in bytes counts what the peer decides: packets, topics, payloads. */
export interface BrokerLimits {
  /** Biggest MQTT packet of an admitted device, and of a connection that is not admitted yet. */
  readonly packetBytes: number;
  readonly packetBytesBeforeConnect: number;
  /** ClientHello, TLS handshake and CONNECT must each arrive within this time. */
  readonly connectTimeoutMs: number;
  /** Bytes that a client may send until its TLS handshake is complete. */
  readonly handshakeBytes: number;
  /** Strangers with TLS state, from the handshake to the accepted CONNECT; who is beyond that waits with a ClientHello. */
  readonly handshakes: number;
  readonly handshakesPerAddress: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Of these, connections whose CONNECT is not accepted yet. */
  readonly strangers: number;
  readonly strangersPerAddress: number;
  /** A connection that sends faster than this, after a burst, is not read from until it has waited. */
  readonly bytesPerSecond: number;
  readonly burstBytes: number;
  /** Unsent bytes at which a slow reader is disconnected: of one connection, and of all together. */
  readonly outboundBytes: number;
  readonly outboundBytesInAll: number;
  /** Retained by one device, and by all devices. What the plane retains is bounded by its database. */
  readonly retainedBytesPerClient: number;
  readonly retainedBytes: number;
  /** Sessions that are kept while their client is away: how many, filters of each, bytes that wait for one and for all. */
  readonly keptSessions: number;
  readonly keptFilters: number;
  readonly keptBytesPerClient: number;
  readonly keptBytes: number;
  /** Messages of quality 2 that await their PUBREL, of one client. */
  readonly inflightQos2: number;
  readonly topicLevels: number;
  readonly keepaliveMaxS: number;
}

const mebibyte = 1_048_576;

export const defaultBrokerLimits: BrokerLimits = {
  packetBytes: limits.mqttPayloadBytes + 1_024,
  packetBytesBeforeConnect: 4_096,
  connectTimeoutMs: 15_000,
  handshakeBytes: 8_192,
  handshakes: 256,
  handshakesPerAddress: 32,
  connections: 20_000,
  connectionsPerAddress: 2_048,
  strangers: 2_048,
  strangersPerAddress: 1_024,
  bytesPerSecond: 4 * mebibyte,
  burstBytes: 8 * mebibyte,
  outboundBytes: 4 * mebibyte,
  outboundBytesInAll: 256 * mebibyte,
  retainedBytesPerClient: 2 * limits.mqttPayloadBytes,
  retainedBytes: 256 * mebibyte,
  keptSessions: 1_000,
  keptFilters: 32,
  keptBytesPerClient: mebibyte,
  keptBytes: 64 * mebibyte,
  inflightQos2: 100,
  topicLevels: 8,
  keepaliveMaxS: 1_200,
};

/** `payload` is valid during the call only when the handler is synchronous; a promise holds back that device's next message. */
export type DeviceMessageHandler = (topic: string, payload: Uint8Array, identity: PeerIdentity) => void | Promise<void>;

export interface ListenOptions {
  readonly host: string;
  /** 0 takes any free port; see `Broker.port`. */
  readonly port: number;
  readonly limits?: Partial<BrokerLimits>;
  readonly logger?: Logger;
  /** Told of everything that is refused, at once and in the call; it must not throw. */
  readonly onRefusal?: (refusal: Refusal) => void;
}

export interface BrokerOptions extends ListenOptions {
  readonly tls: BrokerTls;
  readonly tenant: string;
  /** Is this certificate still in force? A rejection or ten silent seconds refuse. */
  readonly authenticate: (identity: PeerIdentity) => Promise<boolean>;
  /** Asked once more when the session has begun: a revocation in between finds no session to end. Absent: it is not asked. */
  readonly isStillInForce?: (identity: PeerIdentity) => Promise<boolean>;
  /** May it take the session from the connection that has it? Asked only when there is one. Absent: always. */
  readonly mayTakeOver?: (identity: PeerIdentity) => Promise<boolean>;
  readonly onMessage?: DeviceMessageHandler;
}

export interface BrokerStats extends Readonly<Counters> {
  readonly connections: number;
  readonly devices: number;
  /** Unsent bytes of all connections. */
  readonly outboundBytes: number;
  /** Bytes that devices have retained. */
  readonly retainedBytes: number;
}

export type BrokerErrorCode = "port_taken" | "broker_open_failed" | "broker_closed" | "broker_publish_failed";

/** The embedded broker, a pipe: sessions and retained messages end with the process and are republished by the plane. */
export interface Broker {
  readonly host: string;
  readonly port: number;
  /** Plane to device. Resolves when handed on; a device that is away does not get it, except what is retained. */
  publish(
    topic: string,
    payload: Uint8Array,
    options?: { readonly qos?: 0 | 1; readonly retain?: boolean },
  ): Promise<void>;
  onDeviceMessage(handler: DeviceMessageHandler): () => void;
  /** Ends the device's live session, for instance after its certificate was revoked. True when there was one. */
  disconnectDevice(device: string): boolean;
  /** Ends the sessions whose certificate's time is over, and says whose: a handshake judges that only once. */
  disconnectExpired(nowMs: number): string[];
  isConnected(device: string): boolean;
  stats(): BrokerStats;
  close(): Promise<void>;
}

export interface TlsBroker extends Broker {
  /** Another key and certificate for handshakes from now on; sessions stay. */
  setTls(tls: BrokerTls): void;
}
