import type { Decision, RolloutRecord } from "@fairlead/rollout";

/** Where a rollout stands, as the audit log tells it before and after a change. */
export function toStanding({ state, pauseReason, stages }: RolloutRecord) {
  return { state, pauseReason, stages: stages.map((stage) => stage.state) };
}

/** The part of it that a decision is about: the rollout, one stage, or one device. */
export function toStandingOf(record: RolloutRecord, decision: Decision): Readonly<Record<string, unknown>> {
  if ("device" in decision) {
    const entry = record.devices.find(({ device }) => device === decision.device);
    return entry === undefined
      ? { phase: null }
      : { phase: entry.phase, attempt: entry.attempt, outcome: entry.outcome?.state ?? null };
  }
  if ("stageIndex" in decision) return { stage: record.stages[decision.stageIndex]?.state ?? null };
  const { state, pauseReason } = record;
  return { state, pauseReason };
}
