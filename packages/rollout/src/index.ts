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
export { applyDecision, reconcile } from "./reconcile.ts";
