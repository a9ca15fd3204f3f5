import type { Verdict } from "@fairlead/protocol";
import { judgeGate } from "./gates/index.ts";
import { judgeHealth } from "./gates/health.ts";
import { judgeSoak } from "./gates/soak.ts";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";
import type { FleetDevice, StageEvidence } from "./snapshot.ts";
import { isWithdrawnOutcome, toStanding } from "./standing.ts";

export interface StageContext {
  readonly record: RolloutRecord;
  readonly stageIndex: number;
  readonly fleet: ReadonlyMap<string, FleetDevice>;
  readonly evidence: StageEvidence | null;
  readonly nowMs: number;
}

/** Its stage had passed with it, and it lost the release since: that speaks against the stage that is judged now. */
function isLostSince(device: RolloutDevice, stageIndex: number): boolean {
  return device.stageIndex !== null && device.stageIndex < stageIndex && isWithdrawnOutcome(device);
}

/** Every verdict of a stage that runs or soaks: health, soak, then its gates in the order of the specification. */
export function judgeStage({ record, stageIndex, fleet, evidence, nowMs }: StageContext): readonly Verdict[] {
  const spec = record.spec.stages[stageIndex];
  const stage = record.stages[stageIndex];
  if (spec === undefined || stage === undefined) return [];
  const standings = record.devices
    .filter((device) => (device.stageIndex === stageIndex && !device.late) || isLostSince(device, stageIndex))
    .map((device) => toStanding(record, device, fleet.get(device.device)));
  const activeMs = (sinceMs: number): number => nowMs - sinceMs - stage.pausedMs;
  const soaking = stage.state === "soaking" && stage.soakingSinceMs !== null;
  // Soak is time that the new version serves; a pause does not stop that.
  const soakedMs = soaking ? nowMs - (stage.soakingSinceMs ?? nowMs) : null;
  const soaked = soakedMs !== null && soakedMs >= spec.soakMs;
  const overdue =
    soakedMs === null
      ? activeMs(stage.startedAtMs ?? nowMs) >= spec.timeoutMs
      : activeMs(stage.soakingSinceMs ?? nowMs) >= spec.soakMs + spec.timeoutMs;
  const gate = { evidence, soaked, expired: soaking && overdue };
  return [
    judgeHealth(spec, {
      total: standings.length,
      succeeded: standings.filter((standing) => standing === "succeeded").length,
      failed: standings.filter((standing) => standing === "failed").length,
      expired: overdue,
    }),
    judgeSoak(spec.soakMs, soakedMs),
    ...spec.gates.map((gateSpec) => judgeGate(gateSpec, gate)),
  ];
}

/** True when the two lists say the same, numbers included. */
export function isSameVerdicts(left: readonly Verdict[], right: readonly Verdict[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** True when some gate answers differently, whatever its numbers are. */
export function isChanged(before: readonly Verdict[], after: readonly Verdict[]): boolean {
  const words = (verdicts: readonly Verdict[]): string =>
    verdicts.map(({ gate, kind, code }) => `${gate}:${kind}:${code}`).join();
  return words(before) !== words(after);
}
