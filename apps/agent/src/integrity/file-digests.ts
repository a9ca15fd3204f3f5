import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { lstat, open, stat } from "node:fs/promises";
import { toErrorCode } from "@fairlead/kernel";
import { limits } from "@fairlead/protocol";
import { toFileStamp } from "../state/file-stamp.ts";

export type FileDigest =
  | { readonly kind: "read"; readonly digest: string; readonly sizeBytes: number }
  | { readonly kind: "unreadable"; readonly absent: boolean; readonly reason: string };

export interface MeasureOptions {
  readonly path: string;
  /** Model files are opened as the serving process does: never through a link. */
  readonly followLinks: boolean;
  /** Read the bytes even when the stamp did not change. */
  readonly fresh: boolean;
}

export interface FileDigests {
  /** Never throws for the file's sake; throws the signal's reason when it is aborted. */
  measure(options: MeasureOptions): Promise<FileDigest>;
  /** Compares only device, inode, size and times. */
  hasChanged(path: string): Promise<boolean>;
  /** Reads again what was read longest ago, as far as the budget goes: stamps do not show a fault of the disk. */
  rehash(budgetBytes: number): Promise<void>;
  keepOnly(paths: ReadonlySet<string>): void;
}

interface Entry {
  readonly followLinks: boolean;
  readonly stamp: string;
  /** The file changed so shortly before it was read that a further change may bear the same time. */
  readonly racy: boolean;
  readonly result: FileDigest;
  readonly turn: number;
}

const chunkBytes = 262_144;
/** Times of files advance with the kernel's tick, at most every 10 ms; ten of them are safe. */
const racyMs = 100;

export function createFileDigests(options: {
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}): FileDigests {
  const { nowMs, signal } = options;
  const entries = new Map<string, Entry>();
  let turn = 0;
  let creditBytes = 0;

  async function measure({ path, followLinks, fresh }: MeasureOptions): Promise<FileDigest> {
    const before = await readStamp(path, followLinks);
    const known = entries.get(path);
    if (!fresh && known !== undefined && !known.racy && known.stamp === before.stamp) return known.result;
    const racy = Math.abs(nowMs() - before.changedMs) < racyMs;
    const result = await readDigest(path, followLinks, signal);
    turn += 1;
    entries.set(path, { followLinks, stamp: before.stamp, racy, result, turn });
    return result;
  }

  return {
    measure,
    async hasChanged(path) {
      const known = entries.get(path);
      if (known === undefined || known.racy) return true;
      return (await readStamp(path, known.followLinks)).stamp !== known.stamp;
    },
    async rehash(budgetBytes) {
      // A file larger than the budget runs into debt, which the next turns pay off.
      creditBytes = Math.min(creditBytes + budgetBytes, budgetBytes);
      for (const [path, { followLinks }] of [...entries].toSorted(([, a], [, b]) => a.turn - b.turn)) {
        if (creditBytes <= 0) return;
        const result = await measure({ path, followLinks, fresh: true });
        creditBytes -= result.kind === "read" ? Math.max(result.sizeBytes, 4_096) : 4_096;
      }
    },
    keepOnly(paths) {
      for (const path of entries.keys()) if (!paths.has(path)) entries.delete(path);
    },
  };
}

async function readStamp(path: string, followLinks: boolean): Promise<{ stamp: string; changedMs: number }> {
  try {
    const found = await (followLinks ? stat : lstat)(path, { bigint: true });
    return { stamp: toFileStamp(found), changedMs: Number(found.ctimeMs) };
  } catch (error) {
    return { stamp: `error:${toErrorCode(error) ?? "unknown"}`, changedMs: Number.NEGATIVE_INFINITY };
  }
}

async function readDigest(path: string, followLinks: boolean, signal: AbortSignal): Promise<FileDigest> {
  // Without O_NONBLOCK a pipe in the file's place would hold a thread for ever.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followLinks ? 0 : constants.O_NOFOLLOW);
  try {
    await using file = await open(path, flags);
    if (!(await file.stat()).isFile()) return toUnreadable("not a regular file");
    const hash = createHash("sha256");
    const chunk = Buffer.allocUnsafe(chunkBytes);
    let sizeBytes = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, null);
      if (bytesRead === 0) return { kind: "read", digest: `sha256:${hash.digest("hex")}`, sizeBytes };
      sizeBytes += bytesRead;
      if (sizeBytes > limits.artifactBytes) return toUnreadable(`larger than ${limits.artifactBytes} bytes`);
      hash.update(chunk.subarray(0, bytesRead));
    }
  } catch (error) {
    signal.throwIfAborted();
    const code = toErrorCode(error) ?? "unknown error";
    return { kind: "unreadable", absent: code === "ENOENT" || code === "ENOTDIR", reason: toReason(code) };
  }
}

function toUnreadable(reason: string): FileDigest {
  return { kind: "unreadable", absent: false, reason };
}

function toReason(code: string): string {
  if (code === "ENOENT" || code === "ENOTDIR") return "absent";
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  if (code === "ELOOP") return "a symbolic link";
  return `cannot be read (${code})`;
}
