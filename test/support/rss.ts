import { readFileSync } from "node:fs";

/** Resident memory of a process in bytes, as the kernel counts it. */
export function readRssBytes(pid: number): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/u.exec(text)?.[1] ?? Number.NaN) * 1_024;
}
