import { spawn, type ChildProcess } from "node:child_process";
import { CondensedOutput, toBackoffDelayMs, toErrorMessage } from "@fairlead/kernel";
import { RuntimeError } from "../runtime-error.ts";
import { toLaunch, type Launch } from "./launch.ts";
import { endLeftover, forgetProcess, killGroup, noteProcess, readResidentBytes } from "./process-record.ts";

export type SidecarEvent =
  | { readonly kind: "up"; readonly pid: number; readonly startMs: number; readonly notes: readonly string[] }
  | {
      readonly kind: "down";
      readonly reason: string;
      /** What the server said last. */
      readonly lastWords: readonly string[];
      readonly restartInMs: number;
    }
  | { readonly kind: "output"; readonly line: string; readonly count: number }
  | { readonly kind: "model-lost"; readonly model: string; readonly reason: string };

export interface SidecarProcessOptions {
  readonly name: string;
  /** Program and arguments; no shell reads them. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  /** Where the process is noted while it lives. */
  readonly recordPath: string;
  readonly readyTimeoutMs: number;
  readonly memoryLimitBytes: number | null;
  /** How often its health and its memory are looked at. */
  readonly watchMs: number;
  readonly isReady: () => Promise<boolean>;
  readonly isAlive: () => Promise<boolean>;
  /** While runs or loads are in progress their own deadlines watch the server, which may answer nothing else. */
  readonly isBusy: () => boolean;
  readonly onUp: () => void;
  readonly onDown: () => void;
  readonly onEvent: (event: SidecarEvent) => void;
  readonly random: () => number;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: RuntimeError) => void;
}

interface Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly log: CondensedOutput;
  readonly startedMs: number;
  /** Why we ended it; null while nobody did. */
  endedFor: string | null;
}

const maxMisses = 3;
const steadyMs = 60_000;
const readyPollMs = { first: 15, longest: 150 } as const;

/**
 * One server as a process group of its own: started when it is first needed, watched, started again with growing delays,
 * and ended with us. Invariant: at most one is alive; its group is killed before the next is started.
 */
export class SidecarProcess {
  readonly #options: SidecarProcessOptions;
  #state: "idle" | "starting" | "up" | "waiting" | "stopped" = "idle";
  #running: Running | null = null;
  #launch: Promise<Launch> | null = null;
  #waiters: Waiter[] = [];
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #failures = 0;
  #misses = 0;
  #starts = 0;

  constructor(options: SidecarProcessOptions) {
    this.#options = options;
  }

  /** False from the moment that it is ended, not only once it is gone: what it is asked in between is lost. */
  get up(): boolean {
    return this.#state === "up" && this.#running?.endedFor === null;
  }

  /** Which life of the server this is; another number after each start. */
  get generation(): number {
    return this.#starts;
  }

  get pid(): number | null {
    return this.#running?.pid ?? null;
  }

  /** Starts the server unless it was, and waits. @throws RuntimeError `runtime_crashed` */
  whenUp(timeoutMs: number): Promise<void> {
    if (this.up) return Promise.resolve();
    if (this.#state === "stopped") return Promise.reject(this.#crashed("it was stopped"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(this.#crashed(`it is not ready within ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
      const settle = (end: () => void) => {
        clearTimeout(timer);
        end();
      };
      const waiter: Waiter = {
        resolve: () => settle(resolve),
        reject: (error) => settle(() => reject(error)),
      };
      this.#waiters.push(waiter);
      if (this.#state === "idle") void this.#start();
    });
  }

  /** Ends the server's group; it is started again. */
  restart(reason: string): void {
    const running = this.#running;
    if (running === null || running.endedFor !== null) return;
    running.endedFor = reason;
    killGroup(running.pid, "SIGKILL");
  }

  /** Ends the group at once, for a process that is about to end itself. Nothing is started any more. */
  kill(): void {
    this.#stopTimers();
    this.#state = "stopped";
    if (this.#running === null) return;
    killGroup(this.#running.pid, "SIGKILL");
    forgetProcess(this.#options.recordPath);
  }

  async close(): Promise<void> {
    this.#stopTimers();
    this.#state = "stopped";
    this.#settleWaiters(this.#crashed("it was stopped"));
    const running = this.#running;
    if (running === null) return;
    running.endedFor = "it was stopped";
    const gone = new Promise<void>((resolve) => running.child.once("exit", () => resolve()));
    killGroup(running.pid, "SIGTERM");
    const hard = setTimeout(() => killGroup(running.pid, "SIGKILL"), 1_000);
    await gone;
    clearTimeout(hard);
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
  }

  /** Read after an await: another turn may have stopped us. */
  #stopped(): boolean {
    return this.#state === "stopped";
  }

  async #start(): Promise<void> {
    const { command, memoryLimitBytes, recordPath } = this.#options;
    this.#state = "starting";
    try {
      await endLeftover(recordPath);
      this.#launch ??= toLaunch(command, memoryLimitBytes);
      const launch = await this.#launch;
      if (this.#stopped()) return;
      const running = await this.#spawn(launch);
      if (this.#stopped()) killGroup(running.pid, "SIGKILL");
      else await this.#waitForReady(running, launch);
    } catch (error) {
      const message = toErrorMessage(error);
      if (this.#running !== null) this.restart(message);
      else if (!this.#stopped()) this.#onEnd(message, []);
    }
  }

  async #spawn(launch: Launch): Promise<Running> {
    const { environment, folder, recordPath, onEvent } = this.#options;
    this.#starts += 1;
    // The input stays open for as long as we live: its end tells a server that reads it.
    const child = spawn(launch.file, [...launch.args], {
      cwd: folder,
      env: { ...process.env, ...environment },
      detached: true,
      shell: false,
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => undefined);
    await new Promise<void>((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    const pid = child.pid ?? 0;
    const log = new CondensedOutput({
      nowMs: () => performance.now(),
      schedule: (run, afterMs) => {
        const timer = setTimeout(run, afterMs).unref();
        return () => clearTimeout(timer);
      },
      onLine: ({ text, count }) => onEvent({ kind: "output", line: text, count }),
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => log.push(text));
    const running: Running = { child, pid, log, startedMs: performance.now(), endedFor: null };
    this.#running = running;
    child.on("error", () => undefined);
    child.once("exit", (code, signal) => {
      // What the leader leaves of its group must not hold the address or the device.
      killGroup(pid, "SIGKILL");
      forgetProcess(recordPath);
      this.#running = null;
      const exit = signal === null ? `it exited with status ${code}` : `it was ended by ${signal}`;
      void waitForOutput(child).then(() => {
        const lastWords = log.tail();
        log.end();
        if (!this.#stopped()) this.#onEnd(running.endedFor ?? exit, lastWords);
      });
    });
    noteProcess(recordPath, pid);
    return running;
  }

  async #waitForReady(running: Running, launch: Launch): Promise<void> {
    const { isReady, readyTimeoutMs, onUp, onEvent } = this.#options;
    let pollMs: number = readyPollMs.first;
    while (this.#running === running && this.#state === "starting") {
      if (await isReady()) {
        // The answer may be another server's that has the address; ours must be alive at least.
        if (this.#running !== running || this.#stopped()) return;
        this.#state = "up";
        this.#misses = 0;
        this.#watch = setInterval(() => void this.#look(running), this.#options.watchMs).unref();
        const startMs = performance.now() - running.startedMs;
        onEvent({ kind: "up", pid: running.pid, startMs, notes: launch.notes });
        onUp();
        this.#settleWaiters(null);
        return;
      }
      if (performance.now() - running.startedMs > readyTimeoutMs) {
        this.restart(`it was not ready within ${readyTimeoutMs} ms`);
        return;
      }
      await new Promise((resolve) => (this.#timer = setTimeout(resolve, pollMs)));
      pollMs = Math.min(readyPollMs.longest, pollMs * 1.3);
    }
  }

  async #look(running: Running): Promise<void> {
    const { memoryLimitBytes, isAlive, isBusy } = this.#options;
    const resident = readResidentBytes(running.pid);
    if (memoryLimitBytes !== null && resident !== null && resident > memoryLimitBytes) {
      this.restart(`it holds ${resident} bytes of memory, over its limit of ${memoryLimitBytes}`);
      return;
    }
    if (performance.now() - running.startedMs > steadyMs) this.#failures = 0;
    if (isBusy()) {
      this.#misses = 0;
      return;
    }
    const alive = await isAlive();
    this.#misses = alive || isBusy() ? 0 : this.#misses + 1;
    if (this.#misses >= maxMisses && this.#running === running)
      this.restart("it does not answer when asked for its health");
  }

  #onEnd(reason: string, lastWords: readonly string[]): void {
    const { onDown, onEvent, random } = this.#options;
    const wasUp = this.#state === "up";
    this.#stopTimers();
    this.#state = "waiting";
    // The first restart is immediate: most ends are of one input, and clients are waiting.
    const restartInMs =
      wasUp && this.#failures === 0
        ? 0
        : 100 + toBackoffDelayMs({ baseMs: 250, maxMs: 30_000 }, this.#failures, random());
    this.#failures += 1;
    const words = lastWords.length === 0 ? "" : `; it said last: ${lastWords.slice(-3).join(" | ")}`;
    // Who waits for a server that was up came while it was being ended, and waits for the next one.
    if (!wasUp) this.#settleWaiters(this.#crashed(`${reason}${words}`));
    onEvent({ kind: "down", reason, lastWords, restartInMs });
    onDown();
    this.#timer = setTimeout(() => void this.#start(), restartInMs);
  }

  #settleWaiters(error: RuntimeError | null): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      if (error === null) waiter.resolve();
      else waiter.reject(error);
    }
  }

  #crashed(reason: string): RuntimeError {
    return new RuntimeError("runtime_crashed", `the server of runtime '${this.#options.name}' does not run: ${reason}`);
  }
}

/** The last words arrive after the end; whoever left the group and holds the pipes is not waited for. */
function waitForOutput(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 100);
    child.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
