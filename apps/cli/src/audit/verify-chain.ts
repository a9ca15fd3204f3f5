import { toDocumentDigest } from "@fairlead/artifacts";
import type { AuditEntry } from "@fairlead/protocol";

export type ChainVerdict =
  | { readonly kind: "intact"; readonly entries: number; readonly head: string | null }
  | { readonly kind: "broken"; readonly index: number; readonly why: string };

/** `sha256:` over the canonical form (RFC 8785) of the entry without its own hash. */
export function toEntryHash(entry: AuditEntry): string {
  const { hash: _hash, ...rest } = entry;
  return toDocumentDigest(rest);
}

/** Every entry hashes to what it says and names its predecessor; indexes have no gap. Entries in any order. */
export function verifyChain(entries: readonly AuditEntry[]): ChainVerdict {
  const ordered = entries.toSorted((left, right) => left.index - right.index);
  let previous: AuditEntry | null = null;
  for (const entry of ordered) {
    if (toEntryHash(entry) !== entry.hash)
      return { kind: "broken", index: entry.index, why: "its content does not match its hash" };
    if (previous !== null && entry.index !== previous.index + 1)
      return { kind: "broken", index: entry.index, why: `the entries after ${previous.index} are missing` };
    if (previous !== null && entry.previous !== previous.hash)
      return { kind: "broken", index: entry.index, why: `it does not follow entry ${previous.index}` };
    previous = entry;
  }
  return { kind: "intact", entries: ordered.length, head: previous?.hash ?? null };
}
