import { verifyAuditChain, type AuditVerdict } from "@fairlead/integrity";
import type { AuditEntry } from "@fairlead/protocol";

/** Recomputes every hash and link here, from the first entry on. Entries may come in any order. */
export function verifyAudit(entries: readonly AuditEntry[]): AuditVerdict {
  return verifyAuditChain(
    null,
    entries.toSorted((left, right) => left.index - right.index),
  );
}
