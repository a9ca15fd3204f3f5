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
 * Keeps a process that is compared with others on the last processor: for minutes, one of two virtual processors took 40 %
 * longer than the other for the same call, and a quotient of two processes would say no more than which of them had which.
 * Threads and processes that it starts later stay there as well. Clients are left to the kernel, as they are in the field:
 * one that was kept on the other processor cost its server 0.1 ms more. Where there is a single processor, or no Linux,
 * everything stays where it is.
 */
export function keepOnOneProcessor(pid: number): void {
  const allowed = listAllowed();
  if (allowed.length < 2) return;
  const last = String(allowed.at(-1));
  const { status, error, stderr } = spawnSync("taskset", ["-apc", last, String(pid)], { encoding: "utf8" });
  if (status !== 0) throw new Error(`taskset (Debian's util-linux) failed: ${error?.message ?? stderr}`);
}
