import { toErrorMessage, type Logger } from "@fairlead/kernel";
import { toChainLink, type ChainLinkInput } from "@fairlead/integrity";
import { digestSchema, evidenceSchema, slotNameSchema, type Evidence } from "@fairlead/protocol";
import * as z from "zod";
import type { Saved } from "../models/saved.ts";
import type { FailingModel } from "./model-verdicts.ts";
import type { EvidenceOutbox, EvidenceOutcome } from "./ports.ts";

export const chainStateSchema = z.strictObject({
  v: z.literal(1),
  head: z.strictObject({ index: z.int().min(0), head: digestSchema }).nullable(),
  /** The link that made the head. Whether it reached the outbox is not known after a crash, so it is appended again. */
  pending: evidenceSchema.nullable(),
  failing: z.array(z.strictObject({ slot: slotNameSchema, digest: digestSchema })).max(64),
});
export type ChainState = z.infer<typeof chainStateSchema>;

export interface EvidenceChainOptions {
  readonly saved: Saved<ChainState>;
  readonly outbox: EvidenceOutbox;
  readonly logger: Logger;
}

export interface EvidenceChain {
  /** Model files that failed at the last link. */
  readonly failing: readonly FailingModel[];
  /** Reads the state and appends the pending link, if any: the plane takes the same head twice for a replay. */
  resume(): void;
  /** Makes, saves and appends the next link. Null when that failed: then the chain has not moved, or the link waits. */
  seal(link: Omit<ChainLinkInput, "previous">, failing: readonly FailingModel[]): Evidence | null;
  /** After a clean end nothing needs to be appended again. */
  close(): void;
}

/** Refused for its content: this link will never travel, so the chain goes on from the one before it. */
const permanent: ReadonlySet<string> = new Set(["item_invalid", "item_too_large"]);

/** The head is on the disk before its link is in the outbox, so that no crash makes two links of one index. */
export function createEvidenceChain({ saved, outbox, logger }: EvidenceChainOptions): EvidenceChain {
  let state: ChainState = { v: 1, head: null, pending: null, failing: [] };
  let appended = true;

  function save(next: ChainState): boolean {
    try {
      saved.save(next);
    } catch (error) {
      logger.error("the evidence chain could not be saved", { reason: toErrorMessage(error) });
      return false;
    }
    state = next;
    return true;
  }

  function append(evidence: Evidence): EvidenceOutcome {
    try {
      return outbox.append("evidence", { evidence });
    } catch (error) {
      return { kind: "refused", code: "storage_failed", reason: toErrorMessage(error) };
    }
  }

  /** True when no link waits. */
  function flush(): boolean {
    const { pending } = state;
    if (pending === null || appended) return true;
    const outcome = append(pending);
    if (outcome.kind === "stored") return (appended = true);
    logger.error("evidence was refused by the outbox", { code: outcome.code, reason: outcome.reason });
    if (!permanent.has(outcome.code)) return false;
    const head = pending.index === 0 ? null : { index: pending.index - 1, head: pending.previous };
    return save({ ...state, head, pending: null });
  }

  return {
    get failing() {
      return state.failing;
    },
    resume() {
      state = saved.load() ?? state;
      appended = false;
      flush();
    },
    seal(link, failing) {
      if (!flush()) return null;
      const evidence = toChainLink({ ...link, previous: state.head });
      const head = { index: evidence.index, head: evidence.head };
      if (!save({ v: 1, head, pending: evidence, failing: [...failing] })) return null;
      appended = false;
      return flush() && state.pending === evidence ? evidence : null;
    },
    close() {
      if (appended && state.pending !== null) save({ ...state, pending: null });
    },
  };
}
