export {
  createRollout,
  type CreateRolloutOptions,
  type DeviceOutcome,
  type ReleaseReference,
  type RolloutDevice,
  type RolloutDevicePhase,
  type RolloutRecord,
  type StageRecord,
} from "./rollout.ts";
export type { CohortEvidence, Cohorts, DeviceJob, FleetDevice, RolloutSnapshot, StageEvidence } from "./snapshot.ts";
export type { Because, Decision, DecisionKind, DecisionOf } from "./decision.ts";
export { reconcile } from "./reconcile.ts";
export { RolloutDraft } from "./draft.ts";
export { actionStates, applyRolloutAction, type RolloutRequest } from "./actions.ts";
export { toRolloutStatus, type RolloutStatusParts } from "./status.ts";
export { isForCause } from "./known-bad.ts";
export { isTouched, toCohorts, toFleetMap, toStanding, type Standing } from "./standing.ts";
export {
  assertRolloutSpec,
  checkRolloutSpec,
  type CheckContext,
  type RolloutProblem,
  type RolloutProblemCode,
} from "./validate.ts";
export { hasStageFor, planStages, toPlanOrder, type PlanCandidate, type PlanOptions } from "./plan.ts";
export {
  isRolloutEnd,
  rolloutTransitions,
  stageTransitions,
  transitionRollout,
  transitionStage,
  type RolloutEvent,
  type StageEvent,
} from "./transition.ts";
export { judgeGate } from "./gates/index.ts";
export { toDivergence } from "./gates/drift.ts";
export { toGateName, toQuantileKey, type GateContext } from "./gates/gate.ts";
