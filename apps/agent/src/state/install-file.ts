import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Puts a finished temporary file in its place so that a power cut leaves the old file or the whole new one: fsync the
 * file, rename, fsync the folder. Both paths must be on one file system.
 */
export async function installFile(temporaryPath: string, path: string): Promise<void> {
  await syncPath(temporaryPath);
  await rename(temporaryPath, path);
  await syncPath(dirname(path));
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The same for a small text that is in memory. Mode 0600: state may name what an attacker would like to know. */
export function writeFileDurably(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  const bytes = Buffer.from(text, "utf8");
  const file = openSync(temporary, "w", 0o600);
  try {
    for (let offset = 0; offset < bytes.length;) offset += writeSync(file, bytes, offset);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

export function syncFolder(path: string): void {
  syncNow(path);
}

/** Returns when the bytes of the file, or the names in the folder, are on the disk. */
export function syncNow(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
