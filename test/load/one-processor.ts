import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** Numbers of the processors that this process may use; none where there is no Linux. */
function listAllowed(): number[] {
  if (process.platform !== "linux") return [];
  const [, list = ""] = /^Cpus_allowed_list:\s*(\S+)$/mu.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return list.split(",").flatMap((range) => {
    const [first = Number.NaN, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/**
 * While it lasts, the client is on the first processor and what is compared is on the last one: for minutes, one of two
 * virtual processors took 40 % longer than the other for the same call, and a quotient of two processes would say no more
 * than which of them had which. Where there is a single processor, or no Linux, everything stays where it is.
 */
export class OneProcessor implements Disposable {
  readonly #allowed = listAllowed();

  constructor() {
    this.#bind(process.pid, this.#allowed.slice(0, 1));
  }

  /** Threads and processes that it starts later stay there as well. */
  compare(pid: number): void {
    this.#bind(pid, this.#allowed.slice(-1));
  }

  [Symbol.dispose](): void {
    this.#bind(process.pid, this.#allowed);
  }

  #bind(pid: number, where: readonly number[]): void {
    if (this.#allowed.length < 2) return;
    const { status, error, stderr } = spawnSync("taskset", ["-apc", where.join(","), String(pid)], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`taskset (Debian's util-linux) failed: ${error?.message ?? stderr}`);
  }
}
