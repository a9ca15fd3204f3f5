import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { eventually } from "./eventually.ts";

/** Why no process can be watched here, or undefined when one can. */
export function whyNoSystemCalls(): string | undefined {
  try {
    execFileSync("strace", ["-o", "/dev/null", "true"], { stdio: "ignore" });
    return undefined;
  } catch (error) {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return isMissing ? "Debian's package strace is not installed" : "ptrace is not permitted";
  }
}

/** A call that succeeded. Times are seconds since 1970, as the kernel saw it begin and end. */
export interface SystemCall {
  readonly name: string;
  /** Paths in the order of the arguments; that of a descriptor is its file's. */
  readonly paths: readonly string[];
  readonly beganAt: number;
  readonly endedAt: number;
}

const names = "fsync,fdatasync,rename,renameat,renameat2";
const line = /^(\d+) +(\d+\.\d+) (.*)$/u;
const resumed = /^<\.\.\. \w+ resumed>(.*)$/u;

/** What one running process, with all of its threads, brings to the disk and in which order (strace(1)). */
export class SystemCalls implements AsyncDisposable {
  readonly #file: string;
  readonly #strace: ChildProcess;

  private constructor(file: string, strace: ChildProcess) {
    this.#file = file;
    this.#strace = strace;
  }

  static async attach(pid: number, file: string): Promise<SystemCalls> {
    const args = ["-f", "-y", "-ttt", "-s", "4096", "-e", `trace=${names}`, "-o", file, "-p", String(pid)];
    const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    strace.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
    await eventually("strace is attached", () => {
      if (strace.exitCode !== null) throw new Error(said);
      return said.includes("attached");
    });
    return new SystemCalls(file, strace);
  }

  /** Those that have ended by now, in the order in which they ended. */
  read(): SystemCall[] {
    const begun = new Map<string, { readonly at: number; readonly text: string }>();
    const calls: SystemCall[] = [];
    for (const [, thread = "", time = "", text = ""] of readFileSync(this.#file, "utf8").matchAll(
      new RegExp(line, "gmu"),
    )) {
      if (text.endsWith("<unfinished ...>")) {
        begun.set(thread, { at: Number(time), text });
        continue;
      }
      const rest = resumed.exec(text)?.[1];
      const start = rest === undefined ? { at: Number(time), text } : begun.get(thread);
      if (start === undefined || !/\) += 0\b/u.test(rest ?? text)) continue;
      const whole = rest === undefined ? text : start.text + rest;
      calls.push({
        name: /^\w+/u.exec(whole)?.[0] ?? "",
        paths: [...whole.matchAll(/\d+<([^>]*)>|"([^"]*)"/gu)].map(([, open, named]) => open ?? named ?? ""),
        ...{ beganAt: start.at, endedAt: Number(time) },
      });
    }
    return calls;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#strace.exitCode !== null) return;
    const gone = once(this.#strace, "exit");
    this.#strace.kill("SIGINT");
    await gone;
  }
}
