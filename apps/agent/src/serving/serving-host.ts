import { CodedError, toBackoffDelayMs, type Clock, type Logger, type Service } from "@fairlead/kernel";
import { fork, type ChildProcess } from "node:child_process";
import type {
  ExpectedModel,
  ServingAddress,
  ServingConfig,
  ServingError,
  ServingMessage,
  ServingRequest,
  ServingRequestMessage,
  ServingResults,
} from "../serve/ipc.ts";
import type { ServingEvent } from "../serve/serving-event.ts";
import { condenseOutput } from "./condense-output.ts";
import { servingFlags } from "./serving-flags.ts";
import { StartTrouble, toTroubleText } from "./start-trouble.ts";

export interface ServingExit {
  /** A signal's name or `exit N`. */
  readonly exit: string;
  readonly cause: "crash" | "hang" | "requested";
  /** The run that passed its deadline, when one did. */
  readonly hungLoadId: string | null;
  readonly hungSinceMs: number | null;
  /** What ran at the moment of death, as the process noted it. */
  readonly inflight: readonly string[];
  readonly restarts: number;
  /** It never served: no model had anything to do with its end. */
  readonly beforeReady: boolean;
}

export interface ServingHostOptions {
  readonly entry: URL;
  readonly config: ServingConfig;
  readonly readInflight: () => readonly string[];
  /** Asked at each start: what will be loaded into the process first. */
  readonly expected?: () => readonly ExpectedModel[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onReady: (address: ServingAddress) => void;
  readonly onExit: (exit: ServingExit) => void;
  /** The process does not come up, for a reason that was not told before; null once it does. */
  readonly onTrouble?: (trouble: ServingError | null) => void;
  /** The process gave up a load that nobody asked, because memory was needed. */
  readonly onUnloaded?: (unloaded: { readonly loadId: string; readonly slot: string }) => void;
  /** A load runs elsewhere than before. */
  readonly onPlacement?: (moved: Extract<ServingEvent, { kind: "placement" }>) => void;
  /** A client on this device asks for an assigned build to be unloaded or loaded. */
  readonly onRepository?: (asked: Extract<ServingEvent, { kind: "repository" }>) => void;
  readonly timings?: Partial<Timings>;
}

interface Timings {
  readonly startMs: number;
  readonly pingEveryMs: number;
  readonly pingTimeoutMs: number;
  readonly steadyMs: number;
}

const defaultTimings: Timings = { startMs: 30_000, pingEveryMs: 2_000, pingTimeoutMs: 6_000, steadyMs: 60_000 };
const requestTimeoutMs = 30_000;
/** Names that a runtime or its drivers need; nothing else of our environment reaches the process that runs models. */
const passedOn =
  /^(?:PATH|HOME|TMPDIR|TZ|LANG|LD_LIBRARY_PATH|XDG_RUNTIME_DIR|VK_.*|CUDA_.*|NVIDIA_.*|ORT_.*|OMP_.*|NODE_EXTRA_.*|NODE_COMPILE_CACHE)$/u;

interface Waiting {
  readonly kind: ServingRequest["kind"];
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: NodeJS.Timeout;
  /** Set once the answer is overdue; it is told when the process has ended, and who asked can look at how. */
  overdue: CodedError | null;
}

/** Starts, watches, kills and restarts the process that runs models. It knows nothing of slots. */
export class ServingHost implements Service {
  readonly name = "serving";
  readonly #options: ServingHostOptions;
  readonly #timings: Timings;
  readonly #waiting = new Map<number, Waiting>();
  #child: ChildProcess | undefined;
  #address: ServingAddress | null = null;
  #ready = false;
  #stopping = false;
  #nextId = 1;
  #failures = 0;
  #restarts = 0;
  #startedAtMs = 0;
  /** What the process said of its end. */
  #exitNote = "";
  /** What the process said of a start that failed. */
  #startError: ServingError | null = null;
  readonly #trouble = new StartTrouble();
  #verdict: { cause: ServingExit["cause"]; loadId: string | null; sinceMs: number | null } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: ServingHostOptions) {
    this.#options = options;
    this.#timings = { ...defaultTimings, ...options.timings };
  }

  get ready(): boolean {
    return this.#ready;
  }

  get address(): ServingAddress | null {
    return this.#ready ? this.#address : null;
  }

  /** Why the process does not come up, in one line; null when it does. */
  get trouble(): string | null {
    return this.#trouble.current === null ? null : toTroubleText(this.#trouble.current);
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  async start(): Promise<void> {
    this.#stopping = false;
    this.#spawn();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    const child = this.#child;
    if (child === undefined) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const kill = setTimeout(() => child.kill("SIGKILL"), 900);
    if (this.#ready) this.request({ kind: "shutdown", drainMs: 500 }, 800).catch(() => child.kill("SIGKILL"));
    else child.kill("SIGKILL");
    await gone;
    clearTimeout(kill);
  }

  /**
   * One request, one answer.
   * @throws CodedError `serving_unavailable` · `serving_exited` · `serving_timeout` (the process is then killed as hung) ·
   * the codes of the serving process
   */
  request<Request extends ServingRequest>(
    request: Request,
    timeoutMs = requestTimeoutMs,
  ): Promise<ServingResults[Request["kind"]]> {
    const child = this.#child;
    if (child === undefined || !this.#ready)
      return Promise.reject(new CodedError("serving_unavailable", "the serving process is not ready"));
    const id = this.#nextId++;
    const message: ServingRequestMessage = { id, request };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        const text = `${request.kind} took longer than ${timeoutMs} ms`;
        const waiting = this.#waiting.get(id);
        if (waiting !== undefined) waiting.overdue = new CodedError("serving_timeout", text);
        this.#kill("hang", "loadId" in request ? request.loadId : null, timeoutMs);
      }, timeoutMs);
      const settle = { resolve: resolve as (value: unknown) => void, reject };
      this.#waiting.set(id, { kind: request.kind, ...settle, timer, overdue: null });
      child.send(message, (error) => {
        // Who cannot be asked has ended, or has to. Its exit, which says what it was at, comes before the answer.
        if (error !== null && this.#child === child) this.#kill("crash", null, null);
      });
    });
  }

  /** Ends the process on purpose; it is started again at once. */
  restart(): void {
    this.#failures = 0;
    this.#kill("requested", null, null);
  }

  #spawn(): void {
    const { entry, config, logger, clock } = this.#options;
    // A client keeps the address that it was told, so a restart takes the port that the first start was given.
    const address = this.#address ?? config.address;
    const expected = this.#options.expected?.() ?? [];
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => passedOn.test(key)));
    const child = fork(entry, [JSON.stringify({ ...config, address, expected })], {
      serialization: "advanced",
      execArgv: [...servingFlags],
      env,
      stdio: ["ignore", "inherit", "pipe", "ipc"],
    });
    this.#child = child;
    condenseOutput(child, { clock, logger });
    this.#startedAtMs = clock.monotonicMs();
    this.#verdict = undefined;
    this.#exitNote = "";
    this.#startError = null;
    child.on("message", (message) => this.#accept(message as ServingMessage));
    child.on("error", (error) => logger.warn("the serving process has an error", { reason: error.message }));
    child.once("exit", (code, signal) => this.#onExit(`${signal ?? `exit ${code}`}${this.#exitNote}`));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#kill("hang", null, this.#timings.startMs), this.#timings.startMs);
  }

  #accept(message: ServingMessage): void {
    if ("id" in message) {
      const waiting = this.#settle(message.id);
      if (message.ok) waiting?.resolve(message.result);
      else
        waiting?.reject(
          new CodedError(message.error.code, message.error.message, {
            ...(message.error.hint === undefined ? {} : { hint: message.error.hint }),
          }),
        );
      return;
    }
    const { event } = message;
    switch (event.kind) {
      case "ready":
        clearTimeout(this.#timer);
        this.#address = event.address;
        this.#ready = true;
        this.#startWatch();
        this.#trouble.clear();
        this.#options.onTrouble?.(null);
        this.#options.onReady(event.address);
        return;
      case "start-failed":
        this.#startError = event.error;
        return;
      case "hung":
        this.#kill("hang", event.loadId, event.sinceMs);
        return;
      case "memory-exceeded":
        this.#exitNote = " (over its memory limit)";
        this.#options.logger.warn("the serving process holds too much memory and ends", {
          rssBytes: event.rssBytes,
          limitBytes: event.limitBytes,
        });
        return;
      case "unloaded":
        this.#options.logger.info("a load was given up", {
          slot: event.slot,
          loadId: event.loadId,
          reason: event.reason,
        });
        this.#options.onUnloaded?.(event);
        return;
      case "placement":
        this.#options.onPlacement?.(event);
        return;
      case "repository":
        this.#options.onRepository?.(event);
        return;
      case "runtime":
        this.#options.logger[event.severity]("a runtime reports", { runtime: event.runtime, reason: event.message });
        return;
      case "model-warning":
        this.#options.logger.warn("the model's runtime warns", {
          slot: event.slot,
          code: event.code,
          reason: event.message,
        });
    }
  }

  #startWatch(): void {
    clearInterval(this.#watch);
    let asked = false;
    this.#watch = setInterval(() => {
      if (asked || !this.#ready) return;
      asked = true;
      // A blocked event loop answers nothing; `request` kills the process when the answer is overdue.
      this.request({ kind: "ping" }, this.#timings.pingTimeoutMs)
        .catch(() => undefined)
        .finally(() => (asked = false));
    }, this.#timings.pingEveryMs);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting !== undefined) clearTimeout(waiting.timer);
    return waiting;
  }

  #kill(cause: ServingExit["cause"], loadId: string | null, sinceMs: number | null): void {
    if (this.#child === undefined || this.#verdict !== undefined) return;
    this.#verdict = { cause, loadId, sinceMs };
    this.#child.kill("SIGKILL");
  }

  #onExit(exit: string): void {
    const { clock, logger, random } = this.#options;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
    const wasReady = this.#ready;
    this.#child = undefined;
    this.#ready = false;
    const inflight = wasReady ? this.#options.readInflight() : [];
    for (const id of this.#waiting.keys()) {
      const waiting = this.#settle(id);
      waiting?.reject(waiting.overdue ?? new CodedError("serving_exited", `the serving process ended (${exit})`));
    }
    if (this.#stopping) return;
    const verdict = this.#verdict;
    const steady = clock.monotonicMs() - this.#startedAtMs > this.#timings.steadyMs;
    if (steady) this.#failures = 0;
    this.#restarts += 1;
    // The first restart is immediate: most crashes are of one input, and clients are waiting.
    const delayMs =
      this.#failures === 0 && wasReady
        ? 0
        : 100 + toBackoffDelayMs({ baseMs: 250, maxMs: 30_000 }, this.#failures, random());
    this.#failures += 1;
    if (wasReady || verdict?.cause === "requested" || !this.#tellTrouble(exit))
      logger.warn("the serving process ended", { exit, cause: verdict?.cause ?? "crash", inflight, delayMs });
    // Clients are waiting: the next process begins while what follows from this end is saved.
    if (delayMs === 0) this.#spawn();
    else this.#timer = setTimeout(() => this.#spawn(), delayMs);
    this.#options.onExit({
      exit,
      cause: verdict?.cause ?? "crash",
      hungLoadId: verdict?.loadId ?? null,
      hungSinceMs: verdict?.sinceMs ?? null,
      inflight,
      restarts: this.#restarts,
      beforeReady: !wasReady,
    });
  }

  /** Says each reason once, however often the process tries. False while there is none to say. */
  #tellTrouble(exit: string): boolean {
    // Of a port that was any, and that somebody has taken in between, another is as good.
    if (this.#startError?.code === "port_taken") this.#address = null;
    const news = this.#trouble.add(this.#startError, exit);
    if (news !== null) {
      const { code, message: reason, hint } = news;
      this.#options.logger.error("the serving process cannot start; it is tried again", { code, reason, hint });
      this.#options.onTrouble?.(news);
    }
    return this.#trouble.current !== null;
  }
}
