import type { Streams } from "./output.ts";
import { sanitize } from "./sanitize.ts";

const toSize = (bytes: number): string =>
  bytes < 1_048_576 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** A bar on standard error while bytes pass; nothing when that is not a terminal. */
export function createProgress(options: {
  readonly err: Streams["err"];
  readonly enabled: boolean;
  readonly title: string;
  readonly totalBytes: number;
}): { add(bytes: number): void; end(): void } {
  const shown = options.enabled && options.err.isTTY === true;
  const title = sanitize(options.title);
  let doneBytes = 0;
  let lastShare = -1;
  return {
    add(bytes) {
      doneBytes += bytes;
      const share = options.totalBytes === 0 ? 1 : Math.min(1, doneBytes / options.totalBytes);
      if (!shown || (share < 1 && share - lastShare < 0.005)) return;
      lastShare = share;
      const filled = Math.round(share * 24);
      const bar = "█".repeat(filled) + "░".repeat(24 - filled);
      options.err.write(
        `\r\u001b[K${title} ${bar} ${Math.round(share * 100)}% ${toSize(doneBytes)} of ${toSize(options.totalBytes)}`,
      );
    },
    end() {
      if (shown) options.err.write("\r\u001b[K");
    },
  };
}
