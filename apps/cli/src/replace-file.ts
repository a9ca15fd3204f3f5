import { renameSync, writeFileSync } from "node:fs";

/** Writes a file that holds no secret, whole or not at all: whoever reads it meanwhile sees what was there before. */
export function replaceFile(path: string, text: string): void {
  const next = `${path}.tmp`;
  writeFileSync(next, text, { mode: 0o644 });
  renameSync(next, path);
}
