import { writeFileSync } from "node:fs";

export interface MemoryWatchOptions {
  /** Resident memory beyond which the process is to end. */
  readonly limitBytes: number;
  readonly read: () => { readonly rssBytes: number };
  /** Whether something runs or is being loaded: only that takes memory fast. */
  readonly isBusy: () => boolean;
  /** Called once. */
  readonly onExceeded: (rssBytes: number) => void;
}

/** A run that fills memory does so at some 2 GB per second: what it may take beyond the limit until it is seen. */
const everyMs = 50;
/** An idle process is looked at once in so many times, since each look costs processor time for ever. */
const idleTimes = 40;

/** Looks at the process's memory from its event loop, which runs while models do: their runs have threads of their own. */
export function watchMemory({ limitBytes, read, isBusy, onExceeded }: MemoryWatchOptions): NodeJS.Timeout {
  let times = 0;
  const timer = setInterval(() => {
    times += 1;
    if (!isBusy() && times % idleTimes !== 0) return;
    const { rssBytes } = read();
    if (rssBytes <= limitBytes) return;
    clearInterval(timer);
    onExceeded(rssBytes);
  }, everyMs);
  return timer.unref();
}

/** When the whole device runs out of memory, the kernel is to take the process that can be replaced (proc(5)). */
export function offerToKernel(): void {
  try {
    writeFileSync("/proc/self/oom_score_adj", "500");
  } catch {
    // Not Linux, or not allowed: the kernel's own choice stands.
  }
}
