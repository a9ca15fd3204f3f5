import { sealAuditEntry, verifyAuditChain, type AuditHead, type AuditStatement } from "@fairlead/integrity";
import { toWellFormed, type Clock } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import type { AuditLog } from "../context.ts";

export function createAuditLog(clock: Clock): AuditLog {
  return {
    append: async (tx, record) => {
      const { change, from, ...told } = record;
      const reason = told.reason === "" ? "no reason was given" : told.reason;
      const details = { ...record.details, ...change, from };
      // Whatever others wrote is told: an entry that could not be sealed would stop what it tells of, for good.
      const statement = toWellFormed({ ...told, reason, tsMs: clock.nowMs(), details }) as AuditStatement;
      await tx.audit.add(sealAuditEntry((await tx.audit.getLast()) ?? null, statement));
    },
  };
}

export interface AuditVerification {
  readonly verified: boolean;
  readonly entries: number;
  /** Hash of the last good entry; compare it with one kept elsewhere to find a shortened log. */
  readonly head: string | null;
  readonly reason: string | null;
}

/** Walks the whole chain in pieces. */
export async function verifyAudit(store: Store): Promise<AuditVerification> {
  let head: AuditHead | null = null;
  for (;;) {
    const entries: number = head === null ? 0 : head.index + 1;
    const page = await store.read.audit.listFrom(entries, 1_000);
    const verdict = verifyAuditChain(head, page);
    if (verdict.kind === "broken") {
      return { verified: false, entries: verdict.index, head: head?.hash ?? null, reason: verdict.reason };
    }
    head = verdict.head;
    if (page.length < 1_000) {
      return { verified: true, entries: entries + page.length, head: head?.hash ?? null, reason: null };
    }
  }
}
