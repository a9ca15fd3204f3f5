import type { GateSpec, Verdict } from "@fairlead/protocol";
import type { CohortEvidence, StageEvidence } from "../snapshot.ts";

/** What every gate is told besides its own specification. */
export interface GateContext {
  readonly evidence: StageEvidence | null;
  /** True when the soak is over: only then a gate may pass. It may fail at any time. */
  readonly soaked: boolean;
  /** True when the longest wait for evidence is over: then a wait is a failure. */
  readonly expired: boolean;
}

export type GateOf<Kind extends GateSpec["kind"]> = Extract<GateSpec, { readonly kind: Kind }>;

/** Stable name within a stage, for instance `latency/control/p95`. */
export function toGateName(gate: GateSpec): string {
  if (gate.kind === "self-test" || gate.kind === "placement" || gate.kind === "agreement") return gate.kind;
  if (gate.kind === "latency") return `latency/${gate.against}/p${toPercentText(gate.quantile)}`;
  return `${gate.kind}/${gate.against}`;
}

/** The key of `CohortEvidence.latencyMs` for a quantile. */
export function toQuantileKey(quantile: number): string {
  return String(quantile);
}

export function toPercentText(ratio: number): string {
  return String(Math.round(ratio * 100_000) / 1_000);
}

/** A number for people: four significant digits. */
export function toNumberText(value: number): string {
  return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "not a finite number";
}

interface Finding {
  readonly gate: string;
  /** What is measured, as the subject of a sentence. */
  readonly subject: string;
  readonly value: number;
  readonly threshold: number;
  readonly control: number | null;
  readonly samples: number;
  /** `most`: values above the threshold fail; `least`: values below it. */
  readonly bound: "most" | "least";
  readonly failCode: string;
}

/** Holds a value against its bound. What is not finite fails: a gate that cannot be computed never lets pass. */
export function judge(finding: Finding, context: GateContext): Verdict {
  const { gate, subject, value, threshold, control, samples, bound, failCode } = finding;
  const finite = Number.isFinite(value) && (control === null || Number.isFinite(control));
  const within = finite && (bound === "most" ? value <= threshold : value >= threshold);
  const base = {
    gate,
    value: Number.isFinite(value) ? value : null,
    threshold,
    control: control !== null && Number.isFinite(control) ? control : null,
    samples: toSamples(samples),
  };
  const sentence =
    `${subject} is ${toNumberText(value)}` +
    (control === null ? "" : ` (control ${toNumberText(control)})`) +
    `, ${bound === "most" ? "at most" : "at least"} ${toNumberText(threshold)} is admitted; ${samples} samples`;
  if (!finite) return { ...base, kind: "fail", code: "not_finite", why: sentence };
  if (!within) return { ...base, kind: "fail", code: failCode, why: sentence };
  return context.soaked
    ? { ...base, kind: "pass", code: "within_bound", why: sentence }
    : { ...base, kind: "wait", code: "soaking", why: `${sentence}; the stage still soaks` };
}

interface Missing {
  readonly gate: string;
  readonly why: string;
  readonly threshold: number;
  readonly samples: number | null;
}

/** No evidence: wait, and fail once the wait is over. */
export function waitForEvidence({ gate, why, threshold, samples }: Missing, context: GateContext): Verdict {
  const base = { gate, value: null, threshold, control: null, samples: toSamples(samples) };
  return context.expired
    ? { ...base, kind: "fail", code: "evidence_timeout", why: `${why}; the wait for evidence is over` }
    : { ...base, kind: "wait", code: "evidence_missing", why };
}

interface Comparison {
  readonly gate: string;
  readonly what: string;
  readonly threshold: number;
  readonly minRequests: number;
  readonly against: "absolute" | "control";
  /** Takes the evidence out of a cohort; null = it has none. */
  readonly read: (cohort: CohortEvidence) => number | null;
}

export type Pair =
  | { readonly kind: "values"; readonly value: number; readonly control: number | null; readonly samples: number }
  | { readonly kind: "missing"; readonly verdict: Verdict };

/** Both cohorts' values once each has enough requests, or the verdict that says what is missing. */
export function readPair(comparison: Comparison, context: GateContext): Pair {
  const { gate, what, threshold, minRequests, against, read } = comparison;
  const missing = (why: string, samples: number | null): Pair => ({
    kind: "missing",
    verdict: waitForEvidence({ gate, why, threshold, samples }, context),
  });
  const { evidence } = context;
  if (evidence === null) return missing(`no evidence of ${what} yet`, null);
  const { treatment, control } = evidence;
  // Not `<`: a count that is not a number must not pass as enough.
  if (!(treatment.requests >= minRequests))
    return missing(`${treatment.requests} of ${minRequests} requests in the stage`, treatment.requests);
  const value = read(treatment);
  if (value === null) return missing(`the stage reports no ${what}`, treatment.requests);
  if (against === "absolute") return { kind: "values", value, control: null, samples: treatment.requests };
  if (!(control.requests >= minRequests))
    return missing(`${control.requests} of ${minRequests} requests in the control cohort`, control.requests);
  const other = read(control);
  if (other === null) return missing(`the control cohort reports no ${what}`, control.requests);
  return { kind: "values", value, control: other, samples: treatment.requests };
}

/** Verdicts count in whole samples; anything else is no count. */
function toSamples(count: number | null): number | null {
  return Number.isSafeInteger(count) ? count : null;
}
