import type { ExponentialHistogramData, SlotErrorKind, SlotWindow } from "@fairlead/protocol";
import { mergeClassCounts, type ClassCounts } from "./class-counts.ts";
import { mergeConfidence, toMeanConfidence, type ConfidenceData } from "./confidence-histogram.ts";
import { addCounts } from "./counts.ts";
import { toEmptyHistogram } from "./exponential-histogram.ts";
import { mergeHistograms } from "./merge-histograms.ts";

/** Merged behaviour of one build on many devices, or over many windows. */
export interface CohortSummary {
  /** All requests, those with wrong input included. */
  readonly requests: number;
  /** Errors that are not the client's. */
  readonly errors: number;
  readonly inputErrors: number;
  /** errors / (requests - inputErrors), 0..1; null when no request counts. */
  readonly errorRatio: number | null;
  readonly latencyUs: ExponentialHistogramData;
  readonly confidence: ConfidenceData | null;
  readonly meanConfidence: number | null;
  readonly classCounts: ClassCounts | null;
  readonly nanCount: number;
}

type SlotErrors = Partial<Record<SlotErrorKind, number | undefined>>;
type SlotBehaviour = Pick<SlotWindow, "requests" | "errors" | "latencyUs" | "confidence" | "classCounts" | "nanCount">;

/** Sums what slots did. The order of the windows does not matter. */
export function summarizeCohort(slotWindows: Iterable<SlotBehaviour>): CohortSummary {
  let requests = 0;
  let errors: SlotErrors = {};
  let latencyUs = toEmptyHistogram();
  let confidence: ConfidenceData | null = null;
  let classCounts: ClassCounts | null = null;
  let nanCount = 0;
  for (const slot of slotWindows) {
    requests = addCounts(requests, slot.requests);
    errors = mergeErrors(errors, slot.errors);
    latencyUs = mergeHistograms(latencyUs, slot.latencyUs);
    confidence = mergeConfidence(confidence, slot.confidence);
    classCounts = mergeClassCounts(classCounts, slot.classCounts);
    nanCount = addCounts(nanCount, slot.nanCount);
  }
  const inputErrors = errors.input ?? 0;
  const own = toErrorCount(errors) - inputErrors;
  const judged = requests - inputErrors;
  return {
    requests,
    errors: own,
    inputErrors,
    errorRatio: judged > 0 ? Math.min(own / judged, 1) : null,
    latencyUs,
    confidence,
    meanConfidence: toMeanConfidence(confidence),
    classCounts,
    nanCount,
  };
}

/** Both sets of errors together. */
export function mergeErrors(a: SlotErrors, b: SlotErrors): Partial<Record<SlotErrorKind, number>> {
  const merged: Partial<Record<SlotErrorKind, number>> = {};
  for (const part of [a, b]) {
    for (const [kind, count] of Object.entries(part) as [SlotErrorKind, number | undefined][]) {
      if (count !== undefined) merged[kind] = addCounts(merged[kind] ?? 0, count);
    }
  }
  return merged;
}

/** Number of errors of all kinds. */
export function toErrorCount(errors: SlotErrors): number {
  return Object.values(errors).reduce<number>((sum, count) => addCounts(sum, count ?? 0), 0);
}
