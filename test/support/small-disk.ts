import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Why no small file system can be made here, or undefined when one can. */
export function whyNoSmallDisk(): string | undefined {
  return process.getuid?.() === 0 ? undefined : "mounting a tmpfs needs root";
}

/** A file system of a stated size that a test can fill to the last byte. */
export class SmallDisk implements Disposable {
  readonly folder: string;

  constructor(folder: string, sizeMb: number) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m`, "tmpfs", folder]);
  }

  /** Writes until nothing more fits. */
  fill(): void {
    const file = openSync(join(this.folder, "filler"), "a");
    try {
      for (let size = 1_048_576; size >= 1;) {
        try {
          if (writeSync(file, Buffer.alloc(size)) < size) size = Math.floor(size / 2);
        } catch {
          size = Math.floor(size / 2);
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** Leaves this much room again. */
  leave(bytes: number): void {
    const filler = join(this.folder, "filler");
    truncateSync(filler, Math.max(0, statSync(filler).size - bytes));
  }

  free(): void {
    rmSync(join(this.folder, "filler"), { force: true });
  }

  [Symbol.dispose](): void {
    execFileSync("umount", ["-l", this.folder]);
  }
}
