import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { Store, Transaction } from "@fairlead/store";
import type { AuditLog, AuditRecord } from "../context.ts";
import { CondensedRefusals } from "./condensed-refusals.ts";
import { createRefusalShares } from "./refusal-share.ts";
import { toOwnDecision } from "./own-decision.ts";

export interface Refusal extends Omit<AuditRecord, "change"> {
  readonly isLockOut?: boolean;
  /**
   * For what says little alone and much in numbers, such as questions about what is not there: one entry stands for many of
   * one caller and kind, and the others are counted under both names.
   */
  readonly kind?: string | undefined;
}

/** Audit entries for what was refused, whatever the way in. */
export interface RefusalAudit extends Service {
  note(refusal: Refusal): Promise<void>;
  /** The same within a transaction that tells of more. */
  append(tx: Transaction, refusal: Refusal): Promise<void>;
  /** One entry for all that got none of their own since the last one. */
  condense(): Promise<void>;
}

export interface RefusalAuditOptions {
  readonly audit: AuditLog;
  readonly store: Pick<Store, "transaction">;
  readonly clock: Clock;
  readonly logger: Logger;
}

const condenseEveryMs = 60_000;

/**
 * Nobody fills the log by asking for what is refused: see `refusal-share.ts`. What goes beyond is counted and told by one
 * entry a minute, `refusals.condense`, so that no refusal is without a trace.
 */
export function createRefusalAudit({ audit, store, clock, logger }: RefusalAuditOptions): RefusalAudit {
  const takeShare = createRefusalShares(clock);
  let condensed: CondensedRefusals | null = null;
  let timer: NodeJS.Timeout | undefined;

  const count = ({ actor, from, reason, kind }: Refusal): void => {
    condensed ??= new CondensedRefusals(clock.nowMs());
    condensed.add({ actor, from, reason, kind });
  };
  const write = (tx: Transaction, { isLockOut: _lockOut, kind: _kind, ...refusal }: Refusal): Promise<void> =>
    audit.append(tx, { ...refusal, subject: refusal.subject.slice(0, 200), change: null });
  const take = (refusal: Refusal): boolean => {
    const isTaken = takeShare({ ...refusal, isLockOut: refusal.isLockOut === true, kind: refusal.kind });
    if (!isTaken) count(refusal);
    return isTaken;
  };
  const tryToStore = async (run: (tx: Transaction) => Promise<void>): Promise<boolean> => {
    try {
      await store.transaction(run);
      return true;
    } catch (failure) {
      logger.error("a refusal was not written to the audit log", { error: toErrorMessage(failure) });
      return false;
    }
  };

  const condense = async (): Promise<void> => {
    const told = condensed;
    if (told === null) return;
    condensed = null;
    const isWritten = await tryToStore((tx) =>
      audit.append(tx, {
        ...toOwnDecision("audit"),
        ...{ action: "refusals.condense", subject: "refusals", change: null },
        reason: "more was refused than gets an entry each",
        details: told.toDetails(clock.nowMs()),
      }),
    );
    if (isWritten) return;
    // Others were counted while this was tried.
    if (condensed !== null) told.merge(condensed);
    condensed = told;
  };

  return {
    name: "refusal-audit",
    note: async (refusal) => {
      if (take(refusal) && !(await tryToStore((tx) => write(tx, refusal)))) count(refusal);
    },
    append: async (tx, refusal) => {
      if (take(refusal)) await write(tx, refusal);
    },
    condense,
    start: async () => {
      timer = setInterval(() => void condense(), condenseEveryMs);
      timer.unref();
    },
    stop: async () => {
      clearInterval(timer);
      await condense();
    },
  };
}
