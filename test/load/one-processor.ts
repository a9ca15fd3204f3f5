import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const processors = availableParallelism();
const canBind = process.platform === "linux" && processors > 1;

/**
 * While it lasts, the client is on the first processor and what is compared is on the last one: for minutes, one of two
 * virtual processors took 40 % longer than the other for the same call, and a quotient of two processes would say no more
 * than which of them had which. Where there is a single processor, or no Linux, everything stays where it is.
 */
export class OneProcessor implements Disposable {
  constructor() {
    bind(process.pid, "0");
  }

  /** Threads and processes that it starts later stay there as well. */
  compare(pid: number): void {
    bind(pid, String(processors - 1));
  }

  [Symbol.dispose](): void {
    bind(process.pid, `0-${processors - 1}`);
  }
}

function bind(pid: number, where: string): void {
  if (!canBind) return;
  const { status, error, stderr } = spawnSync("taskset", ["-apc", where, String(pid)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`taskset (Debian's util-linux) failed: ${error?.message ?? stderr}`);
}
