import type { ShadowComparison } from "@fairlead/protocol";
import { addCounts } from "./counts.ts";
import { ExponentialHistogram } from "./exponential-histogram.ts";
import { mergeHistograms } from "./merge-histograms.ts";

/** One input that both builds answered. */
export interface Compared {
  readonly agreed: boolean;
  /** Largest absolute difference of two output values; null when it could not be computed. */
  readonly difference: number | null;
  /** Run time of the active build. */
  readonly activeRunUs: number;
}

const maxDifference = 1e15;

/** Counts how a shadow compares with the active build; constant time per request. */
export class ShadowCounts {
  readonly #activeLatency = new ExponentialHistogram();
  #skipped = 0;
  #compared = 0;
  #agreed = 0;
  #difference: number | null = null;

  recordSkipped(): void {
    this.#skipped += 1;
  }

  recordCompared({ agreed, difference, activeRunUs }: Compared): void {
    this.#compared += 1;
    if (agreed) this.#agreed += 1;
    if (difference !== null && Number.isFinite(difference))
      this.#difference = Math.min(Math.max(this.#difference ?? 0, difference), maxDifference);
    this.#activeLatency.record(activeRunUs);
  }

  /** What was counted since the last `take`; counting starts again at zero. */
  take(): ShadowComparison {
    const counts = {
      skipped: this.#skipped,
      compared: this.#compared,
      agreed: this.#agreed,
      maxDifference: this.#difference,
      activeLatencyUs: this.#activeLatency.toData(),
    };
    this.#activeLatency.clear();
    this.#skipped = 0;
    this.#compared = 0;
    this.#agreed = 0;
    this.#difference = null;
    return counts;
  }
}

type Known = ShadowComparison | null | undefined;

/** Both comparisons together; null when neither build was a shadow. The order does not matter. */
export function mergeShadows(a: Known, b: Known): ShadowComparison | null {
  if (a === null || a === undefined) return b ?? null;
  if (b === null || b === undefined) return a;
  const differences = [a.maxDifference, b.maxDifference].filter((value) => value !== null);
  return {
    skipped: addCounts(a.skipped, b.skipped),
    compared: addCounts(a.compared, b.compared),
    agreed: addCounts(a.agreed, b.agreed),
    maxDifference: differences.length === 0 ? null : Math.max(...differences),
    activeLatencyUs: mergeHistograms(a.activeLatencyUs, b.activeLatencyUs),
  };
}
