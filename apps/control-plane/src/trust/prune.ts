import { parseMetadata } from "@fairlead/artifacts/tuf";

export interface ServedName {
  readonly name: string;
  readonly role: string;
  readonly version: number;
}

/** Snapshots that a device may still be in the middle of: it read a timestamp, and asks for the rest only now. */
export const keptSnapshots = 16;

/**
 * What no device can be led to any more. Every root stays, since the chain is walked from the oldest one that is pinned
 * somewhere; of the rest stays what one of the newest snapshots names.
 *
 * @param snapshotTexts the newest snapshots, at least the one in force
 */
export function listUnreachable(served: readonly ServedName[], snapshotTexts: readonly string[]): string[] {
  const reachable = new Set(["timestamp.json"]);
  for (const text of snapshotTexts) {
    const { signed } = parseMetadata("snapshot", text);
    reachable.add(`${signed.version}.snapshot.json`);
    for (const [file, { version }] of Object.entries(signed.meta)) reachable.add(`${version}.${file}`);
  }
  return served.filter(({ name, role }) => role !== "root" && !reachable.has(name)).map(({ name }) => name);
}
