export type {
  Bus,
  BusConnection,
  BusConnectOptions,
  BusErrorCode,
  BusHandler,
  BusMessage,
  BusSession,
  PublishOptions,
  Unsubscribe,
  Will,
} from "./bus.ts";
export { createMemoryBus, type MemoryBus } from "./memory-bus.ts";
export { createMqttBus, type MqttBusOptions } from "./mqtt-bus.ts";
export { isCovered } from "./topic-filter.ts";
export { isLocalBroker, openTopicPipe, type TopicPipe, type TopicPipeOptions } from "./topic-pipe.ts";
