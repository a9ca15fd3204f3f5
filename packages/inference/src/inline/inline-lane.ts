import type { SessionSettings } from "../onnxruntime-session.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";
import { InlineRuns } from "./inline-guard.ts";
import { mayRunInline, noteInlineRun, unproved, type InlineState } from "./inline-plan.ts";
import { openInlineSession, type InlineSession } from "./inline-session.ts";

/** A run on the first thread that takes longer ends the process. */
export const maxInlineMs = 1_000;
/** Largest file that is held in memory a second time for it. */
export const maxInlineModelBytes = 8 * 1_048_576;
/** Sessions that one process holds for it. */
export const maxInlineSessions = 2;
const idleMs = 60_000;

/** How many more sessions may be opened. */
export class InlinePlaces {
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  take(): boolean {
    if (this.#free === 0) return false;
    this.#free -= 1;
    return true;
  }

  give(): void {
    this.#free += 1;
  }
}

export interface InlineLaneParts {
  readonly outputs: readonly TensorSpec[];
  readonly settings: SessionSettings;
  /** The checked bytes of the model once more. */
  readonly again: () => Promise<Uint8Array>;
  readonly places: InlinePlaces;
  /** Calls the thread that watches the runs (`watchInlineRuns`). */
  readonly callGuard: (shared: SharedArrayBuffer, limitMs: number) => void;
}

/**
 * The second session of a model, on the thread of its caller, for a client that is alone. It is opened when
 * `noteInlineRun` finds the model proved, and closed when nobody has used it for a minute.
 */
export class InlineLane {
  readonly #parts: InlineLaneParts;
  readonly #runs = new InlineRuns();
  #state: InlineState = unproved;
  #session: InlineSession | null = null;
  #opening: Promise<void> | null = null;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(parts: InlineLaneParts) {
    this.#parts = parts;
  }

  /** Whether the next run of these shapes (`toShapes`) may take place here. */
  takes(shapes: string): boolean {
    return this.#session !== null && mayRunInline(this.#state, shapes);
  }

  /** One run here, when `takes` says so. Blocks this thread. Rejects as the session does. */
  async run(
    inputs: readonly Tensor[],
    shapes: string,
  ): Promise<{ readonly outputs: readonly Tensor[]; readonly runUs: number }> {
    if (this.#session === null) throw new Error("no session is open here");
    const { session, runs } = { session: this.#session, runs: this.#runs };
    const startedMs = performance.now();
    if (!runs.begin()) this.#parts.callGuard(runs.shared, maxInlineMs);
    try {
      const outputs = await session.run(inputs);
      const runUs = (performance.now() - startedMs) * 1_000;
      this.#note({ shapes, runUs, inline: true });
      return { outputs, runUs };
    } finally {
      runs.end();
      this.#idle?.refresh();
    }
  }

  /** A lone run took place on the model's own thread. */
  noteElsewhere(shapes: string, runUs: number): void {
    if (this.#session === null) this.#note({ shapes, runUs, inline: false });
  }

  /** No run may be in progress. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening;
    await this.#leave(unproved);
  }

  #note(run: Parameters<typeof noteInlineRun>[1]): void {
    const before = this.#state.kind;
    const after = noteInlineRun(this.#state, run);
    this.#state = after;
    if (this.#closed || after.kind === before) return;
    if (after.kind === "proved") this.#opening ??= this.#open().finally(() => (this.#opening = null));
    // After the run that is being noted, which has ended by then.
    else setImmediate(() => void this.#leave(after));
  }

  async #open(): Promise<void> {
    const { again, outputs, settings, places } = this.#parts;
    if (!places.take()) return void (this.#state = unproved);
    try {
      const session = await openInlineSession(await again(), outputs, settings);
      this.#session = session;
      this.#idle = setTimeout(() => void this.#leave(unproved), idleMs).unref();
    } catch {
      // The file is gone or another one by now: the model goes on where it is, and what is wrong shows at its next load.
      places.give();
      this.#state = { kind: "refused" };
    }
  }

  async #leave(state: InlineState): Promise<void> {
    const session = this.#session;
    this.#session = null;
    this.#state = state;
    clearTimeout(this.#idle);
    if (session === null) return;
    this.#parts.places.give();
    await session.close();
  }
}
