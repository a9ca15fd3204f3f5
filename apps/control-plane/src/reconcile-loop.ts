import { setTimeout } from "node:timers/promises";
import { toErrorMessage, type Logger } from "@fairlead/kernel";

/** Whether a run found anything to do. */
export type Found = "nothing" | "work";

export interface ReconcileLoopOptions {
  readonly name: string;
  readonly everyMs: number;
  readonly logger: Logger;
  /** The signal asks a long one to leave the rest for the next start. */
  readonly run: (signal: AbortSignal) => Promise<Found>;
  /** Ends with the time or with the signal; not given: that of the runtime. */
  readonly rest?: (forMs: number, signal: AbortSignal) => Promise<void>;
}

export interface ReconcileLoop {
  start(): void;
  /** Waits for a run in progress. */
  stop(): Promise<void>;
  /** Runs soon; many calls before that are one run. */
  wake(): void;
}

/**
 * A longer run is followed by a rest of so many times what it took. A look at the fleet grows with it, several controllers
 * look, and the plane has others to serve: at 100,000 devices a look takes seconds, and rollouts take hours. Work that
 * was found goes on sooner; it leaves others their turns by itself.
 */
const rests = { nothing: { briefMs: 50, share: 4 }, work: { briefMs: 1_000, share: 1 } } as const;
const longestRestMs = 10_000;

async function sleep(forMs: number, signal: AbortSignal): Promise<void> {
  await setTimeout(forMs, undefined, { signal }).catch(() => undefined);
}

/** Level-triggered: a tick and any number of hints lead to the same run, never two at once; a failed run is tried again. */
export function createReconcileLoop({ name, everyMs, logger, run, rest = sleep }: ReconcileLoopOptions): ReconcileLoop {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let ending = new AbortController();
  ending.abort();

  const turn = async (signal: AbortSignal): Promise<void> => {
    do {
      again = false;
      const beganAtMs = performance.now();
      let found: Found = "nothing";
      try {
        found = await run(signal);
      } catch (error) {
        logger.error(`${name} failed; the next tick tries again`, { error: toErrorMessage(error) });
      }
      const tookMs = performance.now() - beganAtMs;
      const { briefMs, share } = rests[found];
      if (tookMs > briefMs) await rest(Math.min(share * tookMs, longestRestMs), signal);
    } while (again && !signal.aborted);
  };
  const wake = (): void => {
    const { signal } = ending;
    if (signal.aborted) return;
    again = true;
    running ??= new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => turn(signal))
      .finally(() => (running = undefined));
  };
  return {
    wake,
    start: () => {
      ending = new AbortController();
      timer = setInterval(wake, everyMs);
      wake();
    },
    stop: async () => {
      ending.abort();
      clearInterval(timer);
      await running;
    },
  };
}
