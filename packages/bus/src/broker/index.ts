export {
  defaultBrokerLimits,
  type Broker,
  type BrokerErrorCode,
  type BrokerLimits,
  type BrokerOptions,
  type BrokerStats,
  type DeviceMessageHandler,
  type TlsBroker,
} from "./broker-options.ts";
export type { Refusal } from "./counters.ts";
export { openBroker } from "./open-broker.ts";
export { parsePeerIdentity, type PeerIdentity } from "./peer-identity.ts";
