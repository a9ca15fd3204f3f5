import type { BigIntStats } from "node:fs";

/** What tells one file from another, or from itself before a change. Any of these alone can be copied along with a file. */
export function toFileStamp({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(":");
}
