import {
  openBroker,
  type BrokerOptions,
  type BrokerStats,
  type DeviceMessageHandler,
  type TlsBroker,
} from "@fairlead/bus/broker";
import type { Clock, Logger, Service } from "@fairlead/kernel";
import { toPayload, toTopic, type HostStatus } from "@fairlead/protocol";
import { unknownAddress } from "../audit/own-decision.ts";
import type { DeviceLink } from "../context.ts";
import type { Endpoints } from "./endpoints.ts";

export interface DeviceLinkOptions {
  readonly tenant: string;
  readonly host: string;
  readonly port: number;
  readonly tls: () => BrokerOptions["tls"];
  /** Is this certificate of this device in force? */
  readonly isInForce: (device: string, fingerprint: string, fromAddress: string) => Promise<boolean>;
  /** The same of a session that has begun. */
  readonly isStillInForce: (device: string, fingerprint: string, fromAddress: string) => Promise<boolean>;
  /** May a connection of the device take its session from the one that has it? */
  readonly mayTakeOver: (device: string, fromAddress: string) => Promise<boolean>;
  /** What the data folder remembers of this plane's starts, the newest first. */
  readonly starts: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly endpoints: Endpoints;
  readonly onMessage: DeviceMessageHandler;
  readonly onRefusal: NonNullable<BrokerOptions["onRefusal"]>;
  /** Fills the fresh broker with retained messages, before any device can connect twice. */
  readonly onOpen: () => Promise<void>;
}

export interface OpenDeviceLink extends DeviceLink, Service {
  disconnect(device: string): void;
  /** Ends the sessions whose certificate's time is over, and says whose. */
  disconnectExpired(nowMs: number): readonly string[];
  stats(): BrokerStats | undefined;
  /** For handshakes from now on, with what `tls` gives now; sessions stay. */
  renewTls(): void;
}

/** The embedded broker as a service. It forgets everything at each start, so the plane publishes what is retained. */
export function createDeviceLink(options: DeviceLinkOptions): OpenDeviceLink {
  let broker: TlsBroker | undefined;
  const publishHost = async (online: boolean) => {
    const status: HostStatus = { v: 1, online, tsMs: options.clock.nowMs(), starts: [...options.starts] };
    const topic = toTopic({ kind: "host", tenant: options.tenant });
    await broker?.publish(topic, toPayload(status), { retain: true });
  };
  return {
    name: "device link",
    start: async () => {
      broker = await openBroker({
        tls: options.tls(),
        host: options.host,
        port: options.port,
        tenant: options.tenant,
        logger: options.logger,
        authenticate: ({ device, fingerprint, address }) =>
          options.isInForce(device, fingerprint, address ?? unknownAddress),
        isStillInForce: ({ device, fingerprint, address }) =>
          options.isStillInForce(device, fingerprint, address ?? unknownAddress),
        mayTakeOver: ({ device, address }) => options.mayTakeOver(device, address ?? unknownAddress),
        onMessage: options.onMessage,
        onRefusal: options.onRefusal,
      });
      options.endpoints.setMqttPort(broker.port);
      await options.onOpen();
      await publishHost(true);
    },
    stop: async () => {
      await publishHost(false);
      await broker?.close();
      broker = undefined;
    },
    isConnected: (device) => broker?.isConnected(device) ?? false,
    publish: async (topic, payload, { retain = false } = {}) => {
      await broker?.publish(toTopic(topic), toPayload(payload), { retain });
    },
    clearRetained: async (topic) => {
      // An empty retained message removes the one before it (MQTT 3.1.1 §3.3.1.3).
      await broker?.publish(toTopic(topic), new Uint8Array(), { retain: true });
    },
    disconnect: (device) => void broker?.disconnectDevice(device),
    disconnectExpired: (nowMs) => broker?.disconnectExpired(nowMs) ?? [],
    stats: () => broker?.stats(),
    renewTls: () => broker?.setTls(options.tls()),
  };
}
