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
export { applyAction, decide, type ApplyActionOptions, type DecideOptions } from "./decide.ts";
