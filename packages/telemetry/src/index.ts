export { ExponentialHistogram, toEmptyHistogram } from "./exponential-histogram.ts";
export { mergeHistograms } from "./merge-histograms.ts";
export { toCount, toMean, toQuantile, toRelativeError } from "./quantile.ts";
export {
  mergeConfidence,
  recordConfidence,
  toConfidenceBin,
  toEmptyConfidence,
  toMeanConfidence,
  type ConfidenceData,
} from "./confidence-histogram.ts";
export {
  mergeClassCounts,
  toAlignedVectors,
  toClassVector,
  toPredictionCount,
  type ClassCounts,
} from "./class-counts.ts";
export { toClassDrift, toJensenShannon, toStabilityIndex } from "./drift.ts";
export { SlotAccumulator, type SlotCounts, type SlotIdentity } from "./slot-accumulator.ts";
export { mergeErrors, summarizeCohort, toErrorCount, type CohortSummary } from "./cohort.ts";
export { mergeShadows, ShadowCounts, type Compared } from "./shadow-counts.ts";
export { canMergeWindows, mergeSlotWindows, mergeWindows } from "./window.ts";
