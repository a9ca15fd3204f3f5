import { toErrorMessage, type Logger } from "@fairlead/kernel";
import type { DeviceMessageHandler } from "./broker-options.ts";
import type { PeerIdentity } from "./peer-identity.ts";

export interface MessageHandlers {
  /** A function that takes the handler out again. */
  add(handler: DeviceMessageHandler): () => void;
  /** Never rejects; undefined when every handler was done at once. */
  hand(topic: string, payload: Uint8Array, identity: PeerIdentity): Promise<unknown> | undefined;
}

/** Those who take what devices send; one that fails stops no other. */
export function createMessageHandlers(logger: Logger): MessageHandlers {
  const handlers = new Set<DeviceMessageHandler>();
  const note = (topic: string, error: unknown): void =>
    logger.error("a device message was not handled", { topic, error: toErrorMessage(error) });
  return {
    add(handler) {
      handlers.add(handler);
      return () => void handlers.delete(handler);
    },
    hand(topic, payload, identity) {
      let waits: Promise<void>[] | undefined;
      for (const handler of handlers) {
        try {
          const result = handler(topic, payload, identity);
          if (result !== undefined) (waits ??= []).push(result.catch((error: unknown) => note(topic, error)));
        } catch (error) {
          note(topic, error);
        }
      }
      return waits === undefined ? undefined : Promise.all(waits);
    },
  };
}
