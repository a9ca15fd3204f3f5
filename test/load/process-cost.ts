import { readFileSync } from "node:fs";

/** Resident memory of a process in bytes (`VmRSS` of proc_pid_status(5)). */
export function readRssBytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/u.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes ?? Number.NaN) * 1_024;
}

/** Processor time that a process has used, in milliseconds (`utime` + `stime` of proc_pid_stat(5), 100 ticks a second). */
export function readCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
