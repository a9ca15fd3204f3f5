import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { readStatusBytes } from "../support/rss.ts";

const pageBytes = 4_096;
const entryBytes = 8;
/** Bits 63 and 61 of a pagemap entry: the page is in memory; it is a page of a file (or shared), not a private copy. */
const present = 1n << 63n;
const ofFile = 1n << 61n;

/**
 * Resident memory in bytes of several processes together, each page once: what they would free if all of them ended.
 * Private pages are added up; a page of a file (the executable, a library) that more than one of them maps counts once.
 * `Pss` of smaps_rollup would also divide by processes that are not asked about, such as every other Node.js process of
 * a bench, and so report too little. Source: proc_pid_maps(5), proc_pid_pagemap(5).
 */
export function readTogetherBytes(pids: readonly number[]): number {
  const filePages = new Set<string>();
  for (const pid of pids) for (const page of readFilePages(pid)) filePages.add(page);
  const anonymous = pids.reduce((sum, pid) => sum + readStatusBytes(pid, "RssAnon"), 0);
  return anonymous + filePages.size * pageBytes;
}

/** The pages of files that a process has in memory, as `device:inode:page`. */
function* readFilePages(pid: number): Generator<string> {
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
  const pagemap = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    for (const line of maps.split("\n")) {
      const [range = "", , offset = "0", device, inode = "0"] = line.split(/\s+/u);
      if (inode === "0") continue;
      const [start = 0, end = 0] = range.split("-").map((hex) => Number.parseInt(hex, 16) / pageBytes);
      const first = Number.parseInt(offset, 16) / pageBytes;
      const entries = Buffer.alloc((end - start) * entryBytes);
      const read = readSync(pagemap, entries, 0, entries.length, start * entryBytes);
      for (let at = 0; at < read; at += entryBytes) {
        const entry = entries.readBigUInt64LE(at);
        if ((entry & present) !== 0n && (entry & ofFile) !== 0n) yield `${device}:${inode}:${first + at / entryBytes}`;
      }
    }
  } finally {
    closeSync(pagemap);
  }
}

/** Processor time that a process has used, in milliseconds (`utime` + `stime` of proc_pid_stat(5), 100 ticks a second). */
export function readCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
