import type { Logger } from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import type { PeerIdentity } from "./peer-identity.ts";

export interface BrokerLimits {
  /** Biggest MQTT packet of an admitted device, and of a connection that is not admitted yet. */
  readonly packetBytes: number;
  readonly packetBytesBeforeConnect: number;
  /** TLS handshake and CONNECT must each arrive within this time. */
  readonly connectTimeoutMs: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Unsent bytes at which a slow reader is disconnected. */
  readonly outboundBytes: number;
  readonly keepaliveMaxS: number;
}

export const defaultBrokerLimits: BrokerLimits = {
  packetBytes: limits.mqttPayloadBytes + 1_024,
  packetBytesBeforeConnect: 8_192,
  connectTimeoutMs: 15_000,
  connections: 20_000,
  connectionsPerAddress: 2_048,
  outboundBytes: 4 * 1_048_576,
  keepaliveMaxS: 1_200,
};

/** `payload` is valid during the call only when the handler is synchronous; a promise holds back that device's next message. */
export type DeviceMessageHandler = (topic: string, payload: Uint8Array, identity: PeerIdentity) => void | Promise<void>;

export interface BrokerOptions {
  /** PEM texts: the broker's key and certificate, and the authority whose client certificates are admitted. */
  readonly tls: { readonly key: string; readonly cert: string; readonly ca: string };
  readonly host: string;
  /** 0 takes any free port; see `Broker.port`. */
  readonly port: number;
  readonly tenant: string;
  /** Is this certificate still in force? A rejection or ten silent seconds refuse. */
  readonly authenticate: (identity: PeerIdentity) => Promise<boolean>;
  readonly onMessage?: DeviceMessageHandler;
  readonly limits?: Partial<BrokerLimits>;
  readonly logger?: Logger;
}

export interface BrokerStats {
  readonly connections: number;
  readonly devices: number;
  readonly received: number;
  readonly sent: number;
  readonly refusedConnections: number;
  readonly refusedPublishes: number;
  readonly refusedSubscriptions: number;
  readonly protocolErrors: number;
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
  isConnected(device: string): boolean;
  stats(): BrokerStats;
  close(): Promise<void>;
}
