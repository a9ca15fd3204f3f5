import {
  LineCondenser,
  LineSplitter,
  toCleanLine,
  type CondensedLine,
  type LineCondenserOptions,
} from "./line-condenser.ts";

export interface CondensedOutputOptions extends LineCondenserOptions {
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Runs something later, and returns the way to call it off; what waits need not keep the process alive. */
  readonly schedule: (run: () => void, afterMs: number) => () => void;
  /** Lines that come within this time are counted together. Default 1,000. */
  readonly gatherMs?: number;
  readonly onLine: (line: CondensedLine) => void;
}

const tailLines = 8;
const maxTailLength = 400;

/** What another process writes, short enough for a log that others read. */
export class CondensedOutput {
  readonly #options: CondensedOutputOptions;
  readonly #condenser: LineCondenser;
  readonly #splitter = new LineSplitter();
  readonly #last: string[] = [];
  #cancel: (() => void) | null = null;

  constructor(options: CondensedOutputOptions) {
    this.#options = options;
    this.#condenser = new LineCondenser(options);
  }

  /** Any piece of output; lines are cut out of it. */
  push(chunk: string): void {
    const nowMs = this.#options.nowMs();
    const lines = this.#splitter.push(chunk);
    for (const line of lines) this.#condenser.add(line, nowMs);
    for (const line of lines.slice(-4 * tailLines)) this.#remember(line);
    this.#arm(this.#options.gatherMs ?? 1_000);
  }

  /** The last lines, oldest first: why a process ended is usually the last thing that it said. */
  tail(): readonly string[] {
    const rest = toCleanLine(this.#splitter.rest).slice(0, maxTailLength);
    return rest === "" ? [...this.#last] : [...this.#last, rest];
  }

  /** Tells of everything that is left. Nothing is pushed any more. */
  end(): void {
    this.#cancel?.();
    const nowMs = this.#options.nowMs();
    this.#condenser.add(this.#splitter.rest, nowMs);
    for (const line of this.#condenser.takeAll(nowMs)) this.#options.onLine(line);
  }

  #remember(raw: string): void {
    const line = toCleanLine(raw).slice(0, maxTailLength);
    if (line === "") return;
    this.#last.push(line);
    if (this.#last.length > tailLines) this.#last.shift();
  }

  #arm(leastMs: number): void {
    if (this.#cancel !== null) return;
    const dueMs = this.#condenser.dueInMs(this.#options.nowMs());
    if (dueMs === null) return;
    this.#cancel = this.#options.schedule(() => this.#flush(), Math.max(leastMs, dueMs));
  }

  #flush(): void {
    this.#cancel = null;
    for (const line of this.#condenser.take(this.#options.nowMs())) this.#options.onLine(line);
    this.#arm(0);
  }
}
