import { readFileSync, writeFileSync } from "node:fs";

/** A quantity of proc_pid_status(5) in bytes; NaN when the process has no such line. */
export function readStatusBytes(pid: number, field: string): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "mu").exec(text)?.[1] ?? Number.NaN) * 1_024;
}

/** Resident memory of a process in bytes, as the kernel counts it. */
export function readRssBytes(pid: number): number {
  return readStatusBytes(pid, "VmRSS");
}

/** The most that it was since the process began, or since the peak was forgotten. */
export function readPeakRssBytes(pid: number): number {
  return readStatusBytes(pid, "VmHWM");
}

/** The peak begins anew with what is resident now (proc_pid_clear_refs(5)). */
export function forgetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
