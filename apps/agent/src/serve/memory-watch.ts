import { writeFileSync } from "node:fs";

export interface MemoryWatchOptions {
  /** Resident memory beyond which the process is to end. */
  readonly limitBytes: number;
  readonly read: () => { readonly rssBytes: number };
  /** Whether anything is read, runs or is being loaded: nothing else takes memory. */
  readonly isBusy: () => boolean;
  /** Called once. */
  readonly onExceeded: (rssBytes: number) => void;
}

export interface MemoryWatch {
  /** To be called when something begins; a look at a process that is idle would cost processor time for ever. */
  wake(): void;
}

/** A run that fills memory does so at some 2 GB per second: what it may take beyond the limit until it is seen. */
const everyMs = 50;

/**
 * Looks at the process's memory from its event loop, which runs while models do: their runs have threads of their own. The
 * last look comes after everything has ended.
 */
export function watchMemory({ limitBytes, read, isBusy, onExceeded }: MemoryWatchOptions): MemoryWatch {
  let timer: NodeJS.Timeout | null = null;
  let isOver = false;
  const look = (): void => {
    const { rssBytes } = read();
    isOver = rssBytes > limitBytes;
    if (!isOver && isBusy()) return;
    if (timer !== null) clearInterval(timer);
    timer = null;
    if (isOver) onExceeded(rssBytes);
  };
  return {
    wake: () => {
      if (timer === null && !isOver) timer = setInterval(look, everyMs).unref();
    },
  };
}

/** When the whole device runs out of memory, the kernel is to take the process that can be replaced (proc(5)). */
export function offerToKernel(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "500");
  } catch {
    // Not Linux, or not allowed: the kernel's own choice stands.
  }
}
