import { isCovered } from "./topic-filter.ts";
import type { BusHandler, BusMessage, Unsubscribe } from "./bus.ts";

export interface Subscriptions {
  add(filters: readonly string[], handler: BusHandler): Unsubscribe;
  filters(): readonly string[];
  /** Runs every handler whose filters cover the topic; failures go to `onError`. */
  dispatch(message: BusMessage): void;
}

/** Who wants which topics, on the client's side. */
export function createSubscriptions(onError: (error: unknown, topic: string) => void): Subscriptions {
  const entries = new Set<{ readonly filters: readonly string[]; readonly handler: BusHandler }>();
  return {
    add(filters, handler) {
      const entry = { filters: [...filters], handler };
      entries.add(entry);
      return () => void entries.delete(entry);
    },
    filters: () => [...new Set([...entries].flatMap((entry) => entry.filters))],
    dispatch(message) {
      for (const { filters, handler } of [...entries]) {
        if (!filters.some((filter) => isCovered(filter, message.topic))) continue;
        // The async wrapper turns a throw into a rejection, so that one bad handler never silences the next.
        void (async () => handler(message))().catch((error: unknown) => onError(error, message.topic));
      }
    },
  };
}
