import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { hasErrorCode } from "@fairlead/kernel";

/** A process and the group that it leads, told apart from any later one of the same number. */
export interface ProcessRecord {
  readonly pid: number;
  /** Start time in clock ticks since boot (/proc/[pid]/stat, field 22). */
  readonly startTicks: number;
  readonly bootId: string;
}

interface ProcessState {
  readonly running: boolean;
  readonly group: number;
  readonly startTicks: number;
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

const readBootId = () => readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";

/** proc(5), /proc/[pid]/stat; the name in brackets may hold anything, brackets included. */
function readProcess(pid: number): ProcessState | null {
  const text = readText(`/proc/${pid}/stat`);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "", , group] = fields;
  return { running: state !== "Z" && state !== "X", group: Number(group), startTicks: Number(fields[19]) };
}

/** Bytes of memory that the process holds (VmRSS); null when it is gone. */
export function readResidentBytes(pid: number): number | null {
  const kib = /^VmRSS:\s+(\d+) kB$/mu.exec(readText(`/proc/${pid}/status`) ?? "")?.[1];
  return kib === undefined ? null : Number(kib) * 1_024;
}

/** Notes a process that was just started, in a file that outlives us; nothing where there is no /proc. */
export function noteProcess(path: string, pid: number): void {
  const state = readProcess(pid);
  if (state === null) return;
  const record: ProcessRecord = { pid, startTicks: state.startTicks, bootId: readBootId() };
  writeFileSync(path, JSON.stringify(record), { mode: 0o600 });
}

export function forgetProcess(path: string): void {
  rmSync(path, { force: true });
}

function readRecord(path: string): ProcessRecord | null {
  try {
    const value: unknown = JSON.parse(readText(path) ?? "null");
    if (typeof value !== "object" || value === null) return null;
    const { pid, startTicks, bootId }: Readonly<Record<string, unknown>> = { ...value };
    if (!Number.isSafeInteger(pid) || Number(pid) < 2 || !Number.isSafeInteger(startTicks)) return null;
    return { pid: Number(pid), startTicks: Number(startTicks), bootId: String(bootId) };
  } catch {
    return null;
  }
}

/** Members of the group that the noted process leads or led. A number in use as a group is not given to a new process. */
function findMembers(record: ProcessRecord): number[] {
  const leader = readProcess(record.pid);
  if (leader !== null && leader.startTicks !== record.startTicks) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .map(Number)
    .filter((pid) => {
      const member = readProcess(pid);
      return member?.group === record.pid && member.running && member.startTicks >= record.startTicks;
    });
}

/** Ends the whole group; nothing when it is gone, or when what is left of it has made itself another user's. */
export function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!hasErrorCode(error, "ESRCH") && !hasErrorCode(error, "EPERM")) throw error;
  }
}

/** Ends what an earlier process of ours left running, and waits until it is gone. @returns whether there was anything */
export async function endLeftover(path: string): Promise<boolean> {
  const record = readRecord(path);
  forgetProcess(path);
  if (record === null || record.bootId === "" || record.bootId !== readBootId()) return false;
  if (findMembers(record).length === 0) return false;
  killGroup(record.pid, "SIGKILL");
  for (let waited = 0; waited < 200 && findMembers(record).length > 0; waited += 1) await delay(10);
  return true;
}

export interface SidecarProcessState {
  readonly pid: number;
  readonly residentBytes: number | null;
}

/** The noted server as it is now; null when none is noted, or the noted one is gone. */
export function readSidecarProcess(path: string): SidecarProcessState | null {
  const record = readRecord(path);
  if (record === null || record.bootId !== readBootId()) return null;
  const state = readProcess(record.pid);
  if (state?.running !== true || state.startTicks !== record.startTicks) return null;
  return { pid: record.pid, residentBytes: readResidentBytes(record.pid) };
}
