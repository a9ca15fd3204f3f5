import type { Clock } from "@fairlead/kernel";
import type { StreamFeed } from "../context.ts";

/** Events held for listeners that come back. */
const keep = 10_000;

export interface OpenStreamFeed extends StreamFeed {
  /** Calls the listener after each commit that stored events, until the returned function is called. */
  onStored(listener: () => void): () => void;
}

export function createStreamFeed(clock: Clock): OpenStreamFeed {
  const listeners = new Set<() => void>();
  return {
    emit: async (tx, kind, subject) => {
      await tx.streamEvents.add({ kind, subject, tsMs: clock.nowMs() }, keep);
      tx.afterCommit(() => {
        for (const listener of listeners) listener();
      });
    },
    onStored: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
