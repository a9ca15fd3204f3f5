import { statfs } from "node:fs/promises";
import { toErrorCode } from "@fairlead/kernel";
import type { Reading } from "@fairlead/protocol";
import { readNode, toMissing } from "../root.ts";

/** Memory in bytes; used = total - available (proc(5), /proc/meminfo). */
export async function readMemory(root: string): Promise<{ used: Reading; total: Reading }> {
  const node = await readNode(root, "proc/meminfo");
  if (node.kind === "none") return { used: toMissing(node.reason), total: toMissing(node.reason) };
  const total = toField(node.text, "MemTotal");
  const available = toField(node.text, "MemAvailable");
  if (total.value === null || available.value === null)
    return { used: available.value === null ? available : total, total };
  return { used: { value: total.value - available.value }, total };
}

function toField(text: string, name: string): Reading {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "mu").exec(text)?.[1];
  return kibibytes === undefined ? toMissing(`no ${name} in proc/meminfo`) : { value: Number(kibibytes) * 1_024 };
}

/** Size and free space, in bytes, of the file system that holds a path; free = what an ordinary user may fill. */
export async function readDisk(path: string): Promise<{ free: Reading; total: Reading }> {
  try {
    const { bsize, bavail, blocks } = await statfs(path);
    return { free: { value: bavail * bsize }, total: { value: blocks * bsize } };
  } catch (error) {
    const missing = toMissing(`the file system cannot be asked (${toErrorCode(error) ?? "unknown error"})`);
    return { free: missing, total: missing };
  }
}

/** Seconds since boot. */
export async function readUptime(root: string): Promise<Reading> {
  const node = await readNode(root, "proc/uptime");
  if (node.kind === "none") return toMissing(node.reason);
  const seconds = Number.parseFloat(node.text);
  return Number.isFinite(seconds) ? { value: seconds } : toMissing("not a number: proc/uptime");
}
