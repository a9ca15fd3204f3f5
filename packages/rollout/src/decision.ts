import type { JobState, PauseReason, ShadowTerms, Verdict } from "@fairlead/protocol";
import type { ReleaseReference } from "./rollout.ts";

/** Why, for machines and for people, and the numbers that led to it. Goes into history and audit as it is. */
export interface Because {
  readonly code: string;
  readonly reason: string;
  readonly numbers: Readonly<Record<string, number>>;
}

interface DecisionData {
  /** ready → running. */
  "start-rollout": object;
  /** Give a device a stage. `late`: its stage soaks or has passed, so it is offered but not judged. */
  "plan-device": {
    readonly device: string;
    readonly stageIndex: number;
    readonly late: boolean;
    readonly previous: ReleaseReference | null;
  };
  /** The device takes no further part: decommissioned, gone, out of the selector, or superseded. */
  "exclude-device": { readonly device: string };
  "start-stage": { readonly stageIndex: number };
  /** Nothing to do in this stage: its share is already covered. */
  "skip-stage": { readonly stageIndex: number };
  /**
   * SIDE EFFECT: desired slot := {release, rolloutId, attempt, soakMs: spec.deviceSoakMs}; as a shadow, `previous` stays
   * the release and this one runs beside it.
   */
  offer: {
    readonly device: string;
    readonly releaseId: string;
    readonly attempt: number;
    readonly shadow: ShadowTerms | null;
    readonly previous: ReleaseReference | null;
  };
  /** The device's job of the present attempt ended. */
  "record-outcome": {
    readonly device: string;
    readonly attempt: number;
    readonly state: JobState;
    readonly selfTestPassed: boolean | null;
  };
  "start-soak": { readonly stageIndex: number };
  /** `changed`: some verdict's kind or code differs from the last one; only then it is worth a line in the history. */
  "record-verdicts": { readonly stageIndex: number; readonly verdicts: readonly Verdict[]; readonly changed: boolean };
  "pass-stage": { readonly stageIndex: number };
  "fail-stage": { readonly stageIndex: number };
  /** All gates passed and the stage wants a person: the rollout pauses with reason `approval`. */
  "request-approval": { readonly stageIndex: number };
  pause: { readonly pauseReason: PauseReason };
  "start-rollback": object;
  /** SIDE EFFECT: desired slot := {release `to` (null = empty), rolloutId, attempt, soakMs: spec.deviceSoakMs}. */
  revert: { readonly device: string; readonly to: string | null; readonly attempt: number };
  /** The device said that it runs again what it ran before. */
  "confirm-revert": { readonly device: string };
  finish: { readonly state: "succeeded" | "failed" | "canceled" | "rolled_back" | "rollback_failed" };
}

export type DecisionKind = keyof DecisionData;

/** A closed union by `kind`; `offer` and `revert` are the only ones with an effect outside the record. */
export type Decision = {
  readonly [Kind in DecisionKind]: { readonly kind: Kind } & DecisionData[Kind] & Because;
}[DecisionKind];

export type DecisionOf<Kind extends DecisionKind> = Extract<Decision, { readonly kind: Kind }>;

/** One about a single device. A fleet gives as many as it has devices; of the others there are a handful. */
export type DeviceDecision = Extract<Decision, { readonly device: string }>;

export type RolloutDecision = Exclude<Decision, DeviceDecision>;
