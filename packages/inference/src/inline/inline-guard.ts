import { writeSync } from "node:fs";

/*
 * A run on the first thread stops the timers there, the watch over deadlines among them. So the model's own thread, which is
 * idle meanwhile, looks at a number in shared memory: odd while a run goes on, another one for each run.
 */

const sequence = 0;
const guarding = 1;
const everyMs = 50;
/** Looks without a run after which the thread goes back to sleep. */
const idleLooks = 20;

/** The runs of one session on the first thread, as their guard sees them. */
export class InlineRuns {
  readonly shared = new SharedArrayBuffer(8);
  readonly #cells = new Int32Array(this.shared);

  /** @returns false when no guard looks on: it has to be called */
  begin(): boolean {
    Atomics.add(this.#cells, sequence, 1);
    return Atomics.exchange(this.#cells, guarding, 1) === 1;
  }

  end(): void {
    Atomics.add(this.#cells, sequence, 1);
  }
}

/**
 * Ends the process with SIGKILL when one run takes longer than `limitMs`: nothing gentler ends a thread inside the runtime.
 * Looks on until there was no run for a second.
 */
export function watchInlineRuns(shared: SharedArrayBuffer, limitMs: number): void {
  const cells = new Int32Array(shared);
  let seen = Atomics.load(cells, sequence);
  let looks = 0;
  const timer = setInterval(() => {
    const now = Atomics.load(cells, sequence);
    looks = now === seen ? looks + 1 : 0;
    seen = now;
    if (isRunning(now)) {
      if (looks * everyMs < limitMs) return;
      writeSync(2, `a run on the first thread took longer than ${limitMs} ms\n`);
      process.kill(process.pid, "SIGKILL");
    }
    if (looks < idleLooks) return;
    Atomics.store(cells, guarding, 0);
    // A run that began between the look and the line above found a guard that was about to leave.
    if (isRunning(Atomics.load(cells, sequence))) Atomics.store(cells, guarding, 1);
    else clearInterval(timer);
  }, everyMs).unref();
}

function isRunning(count: number): boolean {
  return count % 2 !== 0;
}
