import { chooseBuild, type BuildVerdict } from "@fairlead/artifacts";
import type {
  Build,
  ChoiceCandidate,
  ChoiceObjective,
  ChoicePolicy,
  ModelVersion,
  SlotChoice,
} from "@fairlead/protocol";
import { toPlanned, type ChoiceEntry, type ChoiceRequest } from "./choice-record.ts";

/** What the device itself was told in its configuration; null where it was told nothing. */
export interface DevicePolicy {
  readonly objective: ChoiceObjective | null;
  readonly accuracyFloor: number | null;
}

export interface PolicyInForce {
  readonly policy: ChoicePolicy;
  readonly policyFrom: SlotChoice["policyFrom"];
}

/**
 * The device's objective goes before the release's, whose floor the device can only raise: what a signed release
 * demands is not weakened by a file. With a golden set and no stated floor every case must pass, as in the self-test.
 */
export function toPolicy(content: ModelVersion, device: DevicePolicy): PolicyInForce {
  const stated = content.choice?.accuracyFloor ?? (content.selfTest.golden === null ? null : 1);
  const floors = [stated, device.accuracyFloor].filter((floor) => floor !== null);
  const told = device.objective !== null || device.accuracyFloor !== null;
  return {
    policy: {
      objective: device.objective ?? content.choice?.objective ?? "latency",
      accuracyFloor: floors.length === 0 ? null : Math.max(...floors),
    },
    policyFrom: told ? "device" : content.choice === undefined ? "default" : "release",
  };
}

export interface Decision {
  /** False while a planned candidate is still to be measured. */
  readonly complete: boolean;
  readonly chosen: Build | null;
  readonly candidates: readonly ChoiceCandidate[];
}

/** Policy over the numbers that are known: pure, so a restart or another policy decides anew without measuring. */
export function decideChoice(request: ChoiceRequest, entry: ChoiceEntry, policy: ChoicePolicy): Decision {
  const planned = toPlanned(request);
  const isPlanned = (digest: string) => planned.some(({ artifact }) => artifact.digest === digest);
  const measured = entry.measured.filter(({ digest }) => isPlanned(digest));
  const complete = planned.every(
    ({ artifact: { digest } }) =>
      measured.some((one) => one.digest === digest) || entry.skipped.some((one) => one.digest === digest),
  );
  const { chosen, verdicts } = chooseBuild(measured, policy);
  const candidates = request.candidates.slice(0, 8).map((build): ChoiceCandidate => {
    const { digest, sizeBytes } = build.artifact;
    const verdict = verdicts.find((one) => one.digest === digest);
    const numbers = measured.find((one) => one.digest === digest);
    return {
      buildDigest: digest,
      precision: build.precision,
      quantization: build.quantization,
      sizeBytes,
      latencyUs: numbers?.latencyUs ?? null,
      joulesPerInference: numbers?.joulesPerInference ?? { value: null, reason: "not measured" },
      energyMethod: numbers?.energyMethod ?? null,
      accuracyRatio: numbers?.accuracyRatio ?? null,
      agreementRatio: numbers?.agreementRatio ?? null,
      runs: numbers?.runs ?? 0,
      ...toVerdict(verdict, complete, {
        skipped: entry.skipped.find((one) => one.digest === digest)?.reason ?? null,
        planned: isPlanned(digest),
        of: request.candidates.length,
      }),
    };
  });
  const build = complete ? request.candidates.find(({ artifact }) => artifact.digest === chosen) : undefined;
  return { complete, chosen: build ?? null, candidates };
}

function toVerdict(
  verdict: BuildVerdict | undefined,
  complete: boolean,
  why: { readonly skipped: string | null; readonly planned: boolean; readonly of: number },
): Pick<ChoiceCandidate, "verdict" | "reason"> {
  if (verdict !== undefined) {
    const open = !complete && (verdict.kind === "chosen" || verdict.kind === "lost");
    if (open) return { verdict: "waiting", reason: "measured; the other candidates are not yet" };
    return { verdict: verdict.kind, reason: verdict.reason.slice(0, 240) };
  }
  if (why.skipped !== null) return { verdict: "not-measured", reason: why.skipped };
  if (!why.planned) return { verdict: "not-measured", reason: `larger than the first four of ${why.of} candidates` };
  return { verdict: "waiting", reason: "to be measured" };
}
