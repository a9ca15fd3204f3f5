import { toChainLink } from "@fairlead/integrity";
import { evidenceSchema, type Evidence, type Measurement } from "@fairlead/protocol";
import { z } from "zod";
import type { Saved } from "../models/saved.ts";

/** The newest link; its index and head are the chain's. */
export const chainSchema = z.strictObject({ v: z.literal(1), last: evidenceSchema });

export interface EvidenceChainOptions {
  readonly saved: Saved<z.infer<typeof chainSchema>>;
  /** False when it could not be stored. */
  readonly append: (evidence: Evidence) => boolean;
  readonly nowMs: () => number;
}

/**
 * A link is saved before it is handed on, and handed on again after a restart: the plane recognises a link that it has,
 * while one that was lost would break the chain for ever.
 */
export class EvidenceChain {
  readonly #options: EvidenceChainOptions;
  #last: Evidence | null;
  #pending: Evidence | null;

  constructor(options: EvidenceChainOptions) {
    this.#options = options;
    this.#last = options.saved.load()?.last ?? null;
    this.#pending = this.#last;
  }

  /** False when nothing was added because the link before still waits for room. */
  add(trigger: Evidence["trigger"], measurements: readonly Measurement[], full: boolean): boolean {
    if (!this.#flush()) return false;
    const tsMs = Math.max(1_000_000_000_000, this.#options.nowMs());
    const link = toChainLink({ previous: this.#last, tsMs, trigger, measurements, full });
    this.#options.saved.save({ v: 1, last: link });
    this.#last = link;
    this.#pending = link;
    this.#flush();
    return true;
  }

  #flush(): boolean {
    if (this.#pending !== null && this.#options.append(this.#pending)) this.#pending = null;
    return this.#pending === null;
  }
}
