import { toErrorMessage, type Logger } from "@fairlead/kernel";

export interface ReconcileLoopOptions {
  readonly name: string;
  readonly everyMs: number;
  readonly logger: Logger;
  readonly run: () => Promise<void>;
}

export interface ReconcileLoop {
  start(): void;
  /** Waits for a run in progress. */
  stop(): Promise<void>;
  /** Runs soon; many calls before that are one run. */
  wake(): void;
}

/** Level-triggered: a tick and any number of hints lead to the same run, never two at once; a failed run is tried again. */
export function createReconcileLoop({ name, everyMs, logger, run }: ReconcileLoopOptions): ReconcileLoop {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = true;

  const turn = async (): Promise<void> => {
    do {
      again = false;
      try {
        await run();
      } catch (error) {
        logger.error(`${name} failed; the next tick tries again`, { error: toErrorMessage(error) });
      }
    } while (again && !stopped);
  };
  const wake = (): void => {
    if (stopped) return;
    again = true;
    running ??= new Promise<void>((resolve) => setImmediate(resolve)).then(turn).finally(() => (running = undefined));
  };
  return {
    wake,
    start: () => {
      stopped = false;
      timer = setInterval(wake, everyMs);
      wake();
    },
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      await running;
    },
  };
}
