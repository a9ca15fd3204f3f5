import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { compileCache } from "./compile-cache.ts";

export interface StartOptions {
  readonly name: string;
  /** Path below the repository root of the TypeScript entry. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Command with which the process is started and which then becomes it: `prlimit --core=unlimited`. */
  readonly through?: readonly string[];
  readonly cwd?: string;
  /** Everything that the process prints is appended here. */
  readonly logFile?: string;
}

/** A real child process that a test owns; disposing kills it. */
export class OwnedProcess implements AsyncDisposable {
  readonly name: string;
  readonly child: ChildProcess;
  #output = "";

  constructor(options: StartOptions) {
    this.name = options.name;
    const root = new URL("../../", import.meta.url);
    const [command = "", ...args] = [
      ...(options.through ?? []),
      ...[process.execPath, new URL(options.entry, root).pathname, ...options.args],
    ];
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { NODE_COMPILE_CACHE: compileCache, ...process.env, NO_COLOR: "1", ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-200_000);
        if (options.logFile !== undefined) appendFileSync(options.logFile, text);
      });
    }
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Exit code, or the signal's name. */
  async exited(): Promise<number | string> {
    if (this.running) await once(this.child, "exit");
    return this.child.exitCode ?? this.child.signalCode ?? "unknown";
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (!this.running) return;
    const gone = once(this.child, "exit");
    this.child.kill(signal);
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.running) return;
    const hard = setTimeout(() => this.child.kill("SIGKILL"), 5_000);
    await this.kill("SIGTERM");
    clearTimeout(hard);
  }
}
