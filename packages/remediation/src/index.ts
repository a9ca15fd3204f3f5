export type {
  Action,
  ActionKind,
  ActionOf,
  Because,
  CaseAction,
  CommandOutcome,
  DeviceObservation,
  FailingMeasurement,
  RemediationCase,
  ServingCrash,
  SlotObservation,
} from "./case.ts";
export { defaultRemediationConfig, type RemediationConfig, type Rule } from "./rules.ts";
export { applyAction, remediationTransitions, type ApplyActionOptions } from "./apply.ts";
export { decide, toFleetLimit, type DecideOptions } from "./decide.ts";
export { toSymptoms, type Symptom } from "./symptoms.ts";
