import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { toErrorCode } from "@fairlead/kernel";
import type { Reading } from "@fairlead/protocol";

export type NodeText =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "none"; readonly reason: string };

const maxChars = 65_536;
const maxReasonChars = 200;

/** Text of a small file below the root, trimmed; or the reason why there is none. Never throws. */
export async function readNode(root: string, path: string): Promise<NodeText> {
  try {
    return { kind: "text", text: (await readFile(join(root, path), "utf8")).slice(0, maxChars).trim() };
  } catch (error) {
    return { kind: "none", reason: toReason(error, path) };
  }
}

/** A number in a file below the root times `scale`; or the reason why there is none. */
export async function readNumber(root: string, path: string, scale = 1): Promise<Reading> {
  const node = await readNode(root, path);
  if (node.kind === "none") return toMissing(node.reason);
  const value = node.text === "" ? Number.NaN : Number(node.text);
  return Number.isFinite(value) ? { value: value * scale } : toMissing(`not a number: ${path}`);
}

/** Names in a folder below the root, in natural order; empty when it cannot be read. */
export async function listNode(root: string, path: string): Promise<string[]> {
  try {
    const names = await readdir(join(root, path));
    return names.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  } catch {
    return [];
  }
}

/** A missing reading; the reason is held to the wire's length. */
export function toMissing(reason: string): { value: null; reason: string } {
  return { value: null, reason: reason.slice(0, maxReasonChars) };
}

/** Absent, forbidden and broken nodes are different cases for whoever repairs a device. */
function toReason(error: unknown, path: string): string {
  const code = toErrorCode(error);
  if (code === "ENOENT" || code === "ENOTDIR" || code === "ENODEV") return `absent: ${path}`;
  if (code === "EACCES" || code === "EPERM") return `permission denied: ${path}`;
  return `cannot be read (${code ?? "unknown error"}): ${path}`;
}
