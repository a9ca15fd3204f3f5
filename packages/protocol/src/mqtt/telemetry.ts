import * as z from "zod";
import {
  countSchema,
  digestSchema,
  modelNameSchema,
  slotNameSchema,
  timestampMsSchema,
  versionSchema,
} from "../ids.ts";

const finite = z.number().min(-1e15).max(1e15);

/**
 * Base-2 exponential histogram, the data model of OTLP's ExponentialHistogram:
 * bucket `i` counts values in (base^i, base^(i+1)] with base = 2^(2^-scale). Positive values only; zeros apart.
 */
export const exponentialHistogramSchema = z.strictObject({
  scale: z.int().min(-10).max(20),
  zeroCount: countSchema,
  offset: z.int().min(-20_000).max(20_000),
  counts: z.array(countSchema).max(160),
  sum: z.number().min(0).max(1e18),
  min: z.number().min(0).max(1e15).nullable(),
  max: z.number().min(0).max(1e15).nullable(),
});

/** A reading, or the reason why there is none. */
export const readingSchema = z.union([
  z.strictObject({ value: finite }),
  z.strictObject({ value: z.null(), reason: z.string().min(1).max(200) }),
]);

export const hostMetricsSchema = z.strictObject({
  cpuRatio: readingSchema,
  memoryUsedBytes: readingSchema,
  memoryTotalBytes: readingSchema,
  temperatureC: readingSchema,
  diskFreeBytes: readingSchema,
  diskTotalBytes: readingSchema,
  throttled: readingSchema,
  uptimeS: readingSchema,
});

/** Energy is used, never given back: a sensor that says otherwise has no reading. A terajoule is a power station's hour. */
const joulesSchema = z.union([
  z.strictObject({ value: z.number().min(0).max(1e12) }),
  z.strictObject({ value: z.null(), reason: z.string().min(1).max(200) }),
]);

export const energyMethodSchema = z.enum(["counter", "integrated", "modelled"]);
export const energyScopeSchema = z.enum(["package", "rail", "module", "board", "device"]);

/** Energy of one window. `modelled` values never mix with measured ones: each window has one method and one scope. */
export const energyWindowSchema = z.strictObject({
  method: energyMethodSchema,
  scope: energyScopeSchema,
  source: z.string().min(1).max(128),
  totalJ: joulesSchema,
  idleJ: joulesSchema,
  activeJ: joulesSchema,
});

export const slotErrorKindSchema = z.enum(["deadline", "runtime", "input", "overloaded", "crash", "stopped"]);

/** What a build that runs as a shadow showed beside the active one, over the inputs that both were given. */
export const shadowComparisonSchema = z.strictObject({
  /** Inputs that were picked and not run: the device had no idle gap for them, or they were too large to keep. */
  skipped: countSchema,
  /** Inputs that both builds answered. */
  compared: countSchema,
  /** Of those, the ones with the same top class, or without classes the same values within the tolerance. */
  agreed: countSchema,
  /** Largest absolute difference of two output values; null when none could be computed. */
  maxDifference: finite.nullable(),
  /** Run times of the active build over the compared inputs; those of the shadow are in the window's own `latencyUs`. */
  activeLatencyUs: exponentialHistogramSchema,
});

/** What one build did in one slot during the window. Only `input` errors are the client's. */
export const slotWindowSchema = z.strictObject({
  slot: slotNameSchema,
  model: modelNameSchema,
  version: versionSchema,
  buildDigest: digestSchema,
  requests: countSchema,
  errors: z.partialRecord(slotErrorKindSchema, countSchema),
  latencyUs: exponentialHistogramSchema,
  /** Top-1 probability in 20 equal bins over 0..1; null when the release names no classification output. */
  confidence: z.strictObject({ bins: z.array(countSchema).length(20), sum: z.number().min(0).max(1e15) }).nullable(),
  /** Count per label index, sparse. */
  classCounts: z.record(z.string().regex(/^\d{1,5}$/u), countSchema).nullable(),
  outputMin: finite.nullable(),
  outputMax: finite.nullable(),
  nanCount: countSchema,
  busyUs: countSchema,
  /** Energy attributed to this slot by its share of busy time; see the window's method. */
  activeJ: joulesSchema,
  joulesPerInference: joulesSchema,
  /** Present while the build runs as a shadow: nobody was answered by it, and `latencyUs` are run times alone. */
  shadow: shadowComparisonSchema.nullable().optional(),
});

/** One telemetry window; half-open [t0Ms, t1Ms). */
export const telemetryWindowSchema = z.strictObject({
  t0Ms: timestampMsSchema,
  t1Ms: timestampMsSchema,
  /** More than 1 when the outbox merged older windows to stay in its limit. */
  mergedWindows: z.int().min(1).max(1_000_000),
  host: hostMetricsSchema,
  energy: energyWindowSchema,
  slots: z.array(slotWindowSchema).max(64),
});

export type ExponentialHistogramData = z.infer<typeof exponentialHistogramSchema>;
export type Reading = z.infer<typeof readingSchema>;
export type HostMetrics = z.infer<typeof hostMetricsSchema>;
export type EnergyWindow = z.infer<typeof energyWindowSchema>;
export type EnergyMethod = z.infer<typeof energyMethodSchema>;
export type EnergyScope = z.infer<typeof energyScopeSchema>;
export type ShadowComparison = z.infer<typeof shadowComparisonSchema>;
export type SlotErrorKind = z.infer<typeof slotErrorKindSchema>;
export type SlotWindow = z.infer<typeof slotWindowSchema>;
export type TelemetryWindow = z.infer<typeof telemetryWindowSchema>;
