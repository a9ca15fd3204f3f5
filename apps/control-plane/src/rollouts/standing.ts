import type { Decision, RolloutDraft, RolloutRecord } from "@fairlead/rollout";

/** Where a rollout stands, as the audit log tells it before and after a change. */
export function toStanding({ state, pauseReason, stages }: RolloutRecord) {
  return { state, pauseReason, stages: stages.map((stage) => stage.state) };
}

/** The part of it that a decision is about: the rollout, one stage, or one device. */
export function toStandingOf(draft: RolloutDraft, decision: Decision): Readonly<Record<string, unknown>> {
  if ("device" in decision) {
    const entry = draft.find(decision.device);
    return entry === undefined
      ? { phase: null }
      : { phase: entry.phase, attempt: entry.attempt, outcome: entry.outcome?.state ?? null };
  }
  const { stages, state, pauseReason } = draft.record;
  return "stageIndex" in decision ? { stage: stages[decision.stageIndex]?.state ?? null } : { state, pauseReason };
}
