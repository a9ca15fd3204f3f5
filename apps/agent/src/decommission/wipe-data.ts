import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DataPaths } from "../paths.ts";
import { syncFolder } from "../state/install-file.ts";

/** Siblings of the outbox: its journals, and what was moved aside when it was damaged. */
function listOutboxFiles({ outbox }: DataPaths): string[] {
  const folder = dirname(outbox);
  return readdirSync(folder)
    .filter((name) => name.startsWith(basename(outbox)))
    .map((name) => join(folder, name));
}

/** What was not sent yet is lost with it. */
export function removeOutbox(paths: DataPaths): void {
  for (const path of listOutboxFiles(paths)) rmSync(path, { force: true });
}

/**
 * Everything that Fairlead wrote on this device but its identity: what serves goes first, then models, the queue of what
 * was measured, and the state with trusted metadata, desired state and evidence chain. Named one by one: the data
 * folder may hold what is not ours, and `config.yaml` is its owner's. May be cut short anywhere and begun again.
 */
export function wipeData(paths: DataPaths): void {
  const folders = [paths.run, paths.slots, dirname(paths.artifacts), paths.downloads, paths.state];
  for (const path of [...folders, ...listOutboxFiles(paths)]) rmSync(path, { recursive: true, force: true });
  syncFolder(paths.root);
}

/** What should be gone and is there. */
export function listLeftovers(paths: DataPaths): string[] {
  const folders = [paths.run, paths.slots, dirname(paths.artifacts), paths.downloads, paths.state];
  return [...folders, ...listOutboxFiles(paths)].filter((path) => existsSync(path));
}
