import type { ChoiceObjective } from "@fairlead/protocol";

/** What one build showed on this device. Units: microseconds, joules, ratios 0..1. */
export interface BuildMeasurement {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly latencyUs: { readonly p50: number; readonly p99: number } | null;
  readonly joulesPerInference: { readonly value: number } | { readonly value: null; readonly reason: string };
  /** Share of golden cases within tolerance; null when the release has no golden set. */
  readonly accuracyRatio: number | null;
  /** Share of golden rows whose top class is the golden one; null without a classification. */
  readonly agreementRatio: number | null;
  /** Why the build could not be measured; null when it was. */
  readonly failure: string | null;
}

export interface ResolvedChoicePolicy {
  readonly objective: ChoiceObjective;
  /** Null: accuracy is not asked for. */
  readonly accuracyFloor: number | null;
}

export interface BuildVerdict {
  readonly digest: string;
  readonly kind: "chosen" | "lost" | "excluded" | "failed";
  readonly reason: string;
}

export interface BuildChoice {
  /** Null when no build passed: then nothing may be installed. */
  readonly chosen: string | null;
  /** One for each measurement, in its order. */
  readonly verdicts: readonly BuildVerdict[];
}

const isRatio = (value: number | null): value is number => value !== null && value >= 0 && value <= 1;
const isAmount = (value: number | undefined | null): value is number =>
  value !== undefined && value !== null && value >= 0 && Number.isFinite(value);

const toPercent = (ratio: number): string => `${Number((ratio * 100).toFixed(1))} %`;

/** Why a measured build may not be chosen, or null. What the policy asks about and nobody knows excludes. */
function toExclusion(measured: BuildMeasurement, policy: ResolvedChoicePolicy): string | null {
  const { accuracyRatio, latencyUs, joulesPerInference } = measured;
  const { accuracyFloor, objective } = policy;
  if (accuracyFloor !== null) {
    if (!isRatio(accuracyRatio)) return "accuracy is unknown, and the policy has a floor";
    if (!(accuracyRatio >= accuracyFloor))
      return `accuracy ${toPercent(accuracyRatio)} is below the floor of ${toPercent(accuracyFloor)}`;
  }
  switch (objective) {
    case "latency":
      return isAmount(latencyUs?.p50) ? null : "latency is unknown";
    case "energy":
      if (joulesPerInference.value === null) return `J/inference is unknown: ${joulesPerInference.reason}`;
      return isAmount(joulesPerInference.value) ? null : "J/inference is unknown";
    case "accuracy":
      return isRatio(accuracyRatio) ? null : "accuracy is unknown: the release has no golden set";
  }
}

/** Smaller is better. */
function toCosts(measured: BuildMeasurement, objective: ChoiceObjective): readonly number[] {
  switch (objective) {
    case "latency":
      return [measured.latencyUs?.p50 ?? Number.POSITIVE_INFINITY];
    case "energy":
      return [measured.joulesPerInference.value ?? Number.POSITIVE_INFINITY];
    case "accuracy":
      return [-(measured.accuracyRatio ?? 0), isRatio(measured.agreementRatio) ? -measured.agreementRatio : 0];
  }
}

function compare(left: BuildMeasurement, right: BuildMeasurement, objective: ChoiceObjective): number {
  const others = toCosts(right, objective);
  for (const [at, cost] of toCosts(left, objective).entries()) {
    const other = others[at] ?? cost;
    if (cost !== other) return cost < other ? -1 : 1;
  }
  if (left.sizeBytes !== right.sizeBytes) return left.sizeBytes - right.sizeBytes;
  return left.digest < right.digest ? -1 : left.digest > right.digest ? 1 : 0;
}

const toMicros = (value: number | undefined): string => `${(value ?? 0).toFixed(1)} µs`;

function toDifference(loser: BuildMeasurement, winner: BuildMeasurement, objective: ChoiceObjective): string {
  const same = `${objective} is the same; size and digest decide`;
  if (toCosts(loser, objective).every((cost, at) => cost === toCosts(winner, objective)[at])) return same;
  switch (objective) {
    case "latency":
      return `p50 ${toMicros(loser.latencyUs?.p50)}, the chosen build ${toMicros(winner.latencyUs?.p50)}`;
    case "energy": {
      const [mine, best] = [loser, winner].map(({ joulesPerInference }) => joulesPerInference.value?.toPrecision(3));
      return `${mine} J/inference, the chosen build ${best}`;
    }
    case "accuracy":
      return `accuracy ${toPercent(loser.accuracyRatio ?? 0)}, the chosen build ${toPercent(winner.accuracyRatio ?? 0)}`;
  }
}

/**
 * The build that serves the policy best among those that were measured. A build that failed, is below the floor or
 * lacks the number that the objective compares is never chosen; when none is left nothing is. Ties go to the smaller
 * artifact, then to the digest, whatever the order of the measurements.
 */
export function chooseBuild(measurements: readonly BuildMeasurement[], policy: ResolvedChoicePolicy): BuildChoice {
  const { objective } = policy;
  const judged = measurements.map((measured) => ({
    measured,
    exclusion: measured.failure === null ? toExclusion(measured, policy) : null,
  }));
  const passing = judged
    .filter(({ measured, exclusion }) => measured.failure === null && exclusion === null)
    .map(({ measured }) => measured)
    .toSorted((left, right) => compare(left, right, objective));
  const [winner] = passing;
  const verdicts = judged.map(({ measured, exclusion }): BuildVerdict => {
    const { digest, failure } = measured;
    if (failure !== null) return { digest, kind: "failed", reason: failure };
    if (exclusion !== null || winner === undefined) return { digest, kind: "excluded", reason: exclusion ?? "" };
    if (measured !== winner) return { digest, kind: "lost", reason: toDifference(measured, winner, objective) };
    const reason = passing.length === 1 ? "the only build that passed" : `best ${objective} of ${passing.length}`;
    return { digest, kind: "chosen", reason };
  });
  return { chosen: winner?.digest ?? null, verdicts };
}
