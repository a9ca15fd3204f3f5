import { readFileSync, rmSync, writeFileSync } from "node:fs";

const maxChars = 128;

/** Notes which server answered last, beside the record of its process; null forgets it. Throws what the disk throws. */
export function noteServer(path: string, server: string | null): void {
  if (server === null) rmSync(path, { force: true });
  else writeFileSync(path, server, { mode: 0o600 });
}

/** Name and version of the server as it said them when it was last started; null when nothing is known. */
export function readSidecarServer(path: string): string | null {
  try {
    const text = readFileSync(path, "utf8").slice(0, maxChars);
    return text === "" ? null : text;
  } catch {
    return null;
  }
}

/**
 * Open Inference Protocol, "Server Metadata": `name version`, at most 128 characters. Null when the answer has no version.
 * @param document anything
 */
export function toServerName(document: unknown): string | null {
  if (typeof document !== "object" || document === null) return null;
  const { name, version }: Readonly<Record<string, unknown>> = { ...document };
  if (typeof version !== "string" || version === "") return null;
  const text = `${typeof name === "string" ? name : "server"} ${version}`;
  return text.replaceAll(/\p{Cc}+/gu, " ").slice(0, maxChars);
}
