import type { AuditEntry } from "@fairlead/protocol";
import { toCanonicalDigest, toCanonicalText, zeroDigest } from "./canonical-digest.ts";

export interface AuditHead {
  readonly index: number;
  readonly hash: string;
}

export type AuditStatement = Omit<AuditEntry, "index" | "previous" | "hash">;

/**
 * The next entry of an audit log; null as head makes the first one. `details` become what JSON keeps of them, so
 * that an entry read back from storage has the same hash.
 * @throws CodedError `not_canonical` when the details hold what JSON cannot carry.
 */
export function sealAuditEntry(head: AuditHead | null, statement: AuditStatement): AuditEntry {
  const { tsMs, actor, action, subject, reason } = statement;
  const covered = {
    index: head === null ? 0 : head.index + 1,
    tsMs,
    actor,
    action,
    subject,
    reason,
    details: JSON.parse(toCanonicalText(statement.details)) as Record<string, unknown>,
    previous: head === null ? zeroDigest : head.hash,
  };
  return { ...covered, hash: toCanonicalDigest(covered) };
}

export type AuditVerdict =
  | { readonly kind: "intact"; readonly head: AuditHead | null }
  | { readonly kind: "broken"; readonly index: number; readonly reason: string };

/**
 * Checks entries in ascending order after `head` (null: from the first). Entries cut off at the end leave no trace in
 * the rest; to find that, compare the returned head with one kept elsewhere.
 */
export function verifyAuditChain(head: AuditHead | null, entries: Iterable<AuditEntry>): AuditVerdict {
  let last = head;
  for (const entry of entries) {
    const index = last === null ? 0 : last.index + 1;
    const { hash, ...covered } = entry;
    if (entry.index !== index) return { kind: "broken", index, reason: `entry ${index} is missing` };
    if (entry.previous !== (last === null ? zeroDigest : last.hash)) {
      return { kind: "broken", index, reason: `entry ${index} does not continue the one before` };
    }
    if (toHash(covered) !== hash) return { kind: "broken", index, reason: `entry ${index} was altered` };
    last = { index, hash };
  }
  return { kind: "intact", head: last };
}

function toHash(covered: Omit<AuditEntry, "hash">): string | null {
  try {
    return toCanonicalDigest(covered);
  } catch {
    return null;
  }
}
