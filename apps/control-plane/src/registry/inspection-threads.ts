import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { CodedError, hasErrorCode } from "@fairlead/kernel";
import type { Inspection } from "@fairlead/protocol";
import type { InspectFile, InspectionJob } from "./inspect-upload.ts";

export type InspectionAnswer =
  | { readonly kind: "inspected"; readonly inspection: Inspection | null }
  | {
      readonly kind: "refused";
      readonly code: string;
      readonly message: string;
      readonly hint: string | undefined;
      readonly details: Readonly<Record<string, unknown>>;
    };

export interface InspectionThreadsOptions {
  /** Files that are looked into at a time; the others wait for their turn. */
  readonly maxThreads?: number;
  /** Of one file, from its turn on. The limits of the inspection end it long before. */
  readonly deadlineMs?: number;
  /** A thread without work ends after this. */
  readonly idleMs?: number;
  /** What a thread may hold beside the file's own bytes, which are read in windows. */
  readonly maxMemoryMb?: number;
}

const defaults = { maxThreads: 2, deadlineMs: 120_000, idleMs: 30_000, maxMemoryMb: 768 };

const hint = "make the model smaller: fewer nodes, shorter names; or the golden set, with fewer cases";

function toEnd(error: unknown): CodedError {
  if (hasErrorCode(error, "ERR_WORKER_OUT_OF_MEMORY"))
    return new CodedError("model_too_complex", "looking into the file took more memory than is allowed", {
      ...{ cause: error, hint },
    });
  return new CodedError("internal", "the file could not be looked into", { cause: error });
}

/** Beside this file, as source and in a bundle. */
const entry = new URL(`./inspection-worker${extname(import.meta.url)}`, import.meta.url);

/** A thread and what it is asked now. A thread that failed is never asked again. */
class InspectionThread {
  readonly #worker: Worker;
  #settle: ((result: InspectionAnswer | Error) => void) | null = null;
  #idle: NodeJS.Timeout | undefined;
  ended = false;

  constructor(maxMemoryMb: number, onEnd: (thread: InspectionThread) => void) {
    this.#worker = new Worker(entry, {
      name: "inspection",
      stdin: false,
      resourceLimits: { maxOldGenerationSizeMb: maxMemoryMb, maxYoungGenerationSizeMb: 32 },
    });
    const end = (cause: unknown) => {
      this.ended = true;
      this.#finish(toEnd(cause));
      onEnd(this);
    };
    this.#worker.on("message", (answer: InspectionAnswer) => this.#finish(answer));
    this.#worker.on("error", end);
    this.#worker.on("exit", (code) => end(new Error(`exit ${code}`)));
  }

  /** @throws CodedError `model_too_complex` at the deadline or without memory · `internal` when it ended by itself */
  async ask(job: InspectionJob, deadlineMs: number): Promise<InspectionAnswer> {
    clearTimeout(this.#idle);
    this.#worker.ref();
    const late = setTimeout(() => {
      this.#finish(
        new CodedError("model_too_complex", `looking into the file took more than ${deadlineMs} ms`, { hint }),
      );
    }, deadlineMs);
    try {
      const result = await new Promise<InspectionAnswer | Error>((resolve) => {
        this.#settle = resolve;
        this.#worker.postMessage(job);
      });
      if (result instanceof Error) throw result;
      return result;
    } finally {
      clearTimeout(late);
    }
  }

  rest(idleMs: number): void {
    this.#worker.unref();
    this.#idle = setTimeout(() => void this.end(), idleMs);
    this.#idle.unref();
  }

  async end(): Promise<void> {
    clearTimeout(this.#idle);
    this.ended = true;
    await this.#worker.terminate();
  }

  #finish(result: InspectionAnswer | Error): void {
    this.#settle?.(result);
    this.#settle = null;
  }
}

/**
 * Looks into files in threads of their own: at every limit at once that takes a second or two, in which no request of
 * anybody else may wait. A thread that runs out of memory or past the deadline is ended, and its file refused.
 */
export class InspectionThreads {
  readonly #options: Required<InspectionThreadsOptions>;
  readonly #threads = new Set<InspectionThread>();
  readonly #resting: InspectionThread[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #stopped = false;

  constructor(options: InspectionThreadsOptions = {}) {
    this.#options = { ...defaults, ...options };
  }

  readonly inspect: InspectFile = async (job) => {
    await this.#takeTurn();
    try {
      const answer = await this.#ask(job);
      if (answer.kind === "inspected") return answer.inspection;
      const { code, message, hint, details } = answer;
      throw new CodedError(code, message, { details, ...(hint === undefined ? {} : { hint }) });
    } finally {
      this.#endTurn();
    }
  };

  /** What is looked into now ends as `internal`, and so does what still waits. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#threads].map((thread) => thread.end()));
  }

  async #ask(job: InspectionJob): Promise<InspectionAnswer> {
    const { deadlineMs, idleMs } = this.#options;
    const thread = this.#take();
    try {
      const answer = await thread.ask(job, deadlineMs);
      this.#resting.push(thread);
      thread.rest(idleMs);
      return answer;
    } catch (error) {
      await thread.end();
      throw error;
    }
  }

  #take(): InspectionThread {
    if (this.#stopped) throw new CodedError("internal", "the plane is stopping");
    for (let thread = this.#resting.pop(); thread !== undefined; thread = this.#resting.pop())
      if (!thread.ended) return thread;
    const opened = new InspectionThread(this.#options.maxMemoryMb, (ended) => this.#threads.delete(ended));
    this.#threads.add(opened);
    return opened;
  }

  /** First come, first served. */
  async #takeTurn(): Promise<void> {
    if (this.#busy < this.#options.maxThreads) {
      this.#busy += 1;
      return;
    }
    await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy -= 1;
    else next();
  }
}
