import type { IntegrityState, Measurement } from "@fairlead/protocol";
import { toMeasurementKey, type ChainVerdict } from "./chain.ts";
import { isReopened, isSelfContradicting, toFileName, type FileBaseline } from "./file-baseline.ts";

/**
 * What the plane expects of a device, from its own records; the device's `expected` digests are claims.
 * Model digests come from the desired state and its releases. Everything else is trust on first use: the first full
 * evidence is recorded, which proves that files did not change *since*, not that they were good *then*.
 */
export interface Baseline {
  /** Per slot name: which build digests may lie there, and whether something must. */
  readonly slots: Readonly<Record<string, { readonly allowed: readonly string[]; readonly required: boolean }>>;
  /** Null until a full evidence was recorded. */
  readonly files: FileBaseline | null;
}

export interface AppraisalContext {
  /** Verdict on the newest link; null when no evidence came yet. */
  readonly chain: ChainVerdict | null;
  /** Receipt time of the newest evidence, by the plane's clock. */
  readonly receivedAtMs: number;
  readonly nowMs: number;
  readonly maxAgeMs: number;
}

export type AppraisalCode = "broken_evidence_chain" | "policy_violation" | "no_evidence" | "no_baseline" | "too_old";

export interface Appraisal {
  readonly state: IntegrityState;
  readonly code: AppraisalCode | null;
  readonly failing: readonly Measurement[];
  readonly reason: string | null;
}

/** Records a full measurement list as the baseline of everything but models. What already fails is left out. */
/**
 * Judges a device by all its measurements (see `foldMeasurements`; null when none is complete). Fails closed:
 * unreadable, unknown and absent files fail; without evidence or baseline the state is `unknown`.
 */
export function appraise(
  baseline: Baseline,
  measurements: readonly Measurement[] | null,
  { chain, receivedAtMs, nowMs, maxAgeMs }: AppraisalContext,
): Appraisal {
  if (chain === null) return { state: "unknown", code: "no_evidence", failing: [], reason: "no evidence yet" };
  if (chain.kind !== "next" && chain.kind !== "replay") {
    return { state: "failed", code: "broken_evidence_chain", failing: [], reason: `${chain.kind}: ${chain.reason}` };
  }
  if (measurements === null || measurements.length === 0) {
    return { state: "unknown", code: "no_evidence", failing: [], reason: "no full measurement list yet" };
  }
  const failing = [...toUnexpected(baseline, measurements), ...toAbsent(baseline, measurements)];
  if (failing.length > 0) {
    return { state: "failed", code: "policy_violation", failing, reason: toReason(failing) };
  }
  if (baseline.files === null || (baseline.files.reopened ?? []).length > 0) {
    return { state: "unknown", code: "no_baseline", failing: [], reason: "no baseline of the agent's files yet" };
  }
  const ageMs = nowMs - receivedAtMs;
  if (!(ageMs <= maxAgeMs)) {
    const reason = `the last evidence is ${ageMs} ms old; ${maxAgeMs} ms are allowed`;
    return { state: "stale", code: "too_old", failing: [], reason };
  }
  return { state: "verified", code: null, failing: [], reason: null };
}

function toUnexpected(baseline: Baseline, measurements: readonly Measurement[]): Measurement[] {
  return measurements.filter((measurement) => {
    if (measurement.actual === null || isSelfContradicting(measurement)) return true;
    if (measurement.kind === "model") return !isAllowedModel(baseline, measurement.name, measurement.actual);
    if (baseline.files === null || isReopened(baseline.files, measurement)) return false;
    const key = toMeasurementKey(measurement);
    return !Object.hasOwn(baseline.files.digests, key) || baseline.files.digests[key] !== measurement.actual;
  });
}

/** Model measurements are named `slot/<slot>`, and `slot/<slot>/<what>` for further builds kept for it. */
function isAllowedModel(baseline: Baseline, name: string, actual: string): boolean {
  const slot = toSlotName(name);
  if (slot === null || !Object.hasOwn(baseline.slots, slot)) return false;
  return baseline.slots[slot]?.allowed.includes(actual) ?? false;
}

function toSlotName(name: string): string | null {
  const [prefix, slot] = name.split("/");
  return prefix === "slot" && slot !== undefined && slot !== "" ? slot : null;
}

function toAbsent({ slots, files }: Baseline, measurements: readonly Measurement[]): Measurement[] {
  const keys = new Set(measurements.map(toMeasurementKey));
  const absentModels = Object.entries(slots)
    .filter(([slot, { required }]) => required && !keys.has(`model:slot/${slot}`))
    .map(([slot]) => toAbsentMeasurement("model", `slot/${slot}`, null));
  const absentFiles = Object.entries(files?.digests ?? {}).flatMap(([key, digest]) => {
    const file = toFileName(key);
    if (keys.has(key) || (files !== null && isReopened(files, file))) return [];
    return [toAbsentMeasurement(file.kind, file.name, digest)];
  });
  return [...absentModels, ...absentFiles];
}

function toAbsentMeasurement(kind: Measurement["kind"], name: string, expected: string | null): Measurement {
  return { kind, name, expected, actual: null, reason: "not measured by the device" };
}

function toReason(failing: readonly Measurement[]): string {
  const named = failing.slice(0, 3).map(({ kind, name, actual, reason }) => {
    return `${kind} ${name} ${actual === null ? `is unreadable (${reason ?? "no reason given"})` : "is not as expected"}`;
  });
  const rest = failing.length - named.length;
  return rest > 0 ? `${named.join("; ")}; and ${rest} more` : named.join("; ");
}
