import type { DeviceLifecycle, JobState, Labels } from "@fairlead/protocol";
import type { ReleaseReference, RolloutRecord } from "./rollout.ts";

/** The job that a device reports for the rollout's slot, whatever rollout and attempt it belongs to. */
export interface DeviceJob {
  readonly rolloutId: string | null;
  readonly attempt: number;
  readonly state: JobState;
  readonly code: string | null;
  readonly reason: string | null;
  /** null while the self-test has not run. */
  readonly selfTestPassed: boolean | null;
}

/** One device as the plane knows it now, seen through the rollout's slot. */
export interface FleetDevice {
  readonly device: string;
  readonly labels: Labels;
  readonly lifecycle: DeviceLifecycle;
  readonly online: boolean;
  /** The release its present desired state names for the slot; null = the slot is not desired or to be empty. */
  readonly desired: (ReleaseReference & { readonly rolloutId: string | null; readonly attempt: number }) | null;
  /** True when the device's last report answers its present desired state (reported generation ≥ desired generation). */
  readonly desiredSeen: boolean;
  readonly job: DeviceJob | null;
  /** The release that the slot runs by the device's last report; null = nothing, or never reported. */
  readonly running: ReleaseReference | null;
  /** The release that its present desired state asks to run beside `desired`; null = none. */
  readonly desiredShadowId: string | null;
  /** The release that runs beside `running` by the device's last report; null = none. */
  readonly shadowingId: string | null;
  /**
   * The newest rollout of the slot that is newer than this one, has not ended without success and selects the device now;
   * null = none. What joins late is offered the newest word alone, or two rollouts would take it from each other for ever.
   */
  readonly claimedBy: string | null;
  /** Share of node time that what runs has on the provider it wanted first; null = not proved. */
  readonly wantedShare: number | null;
}

/**
 * What a group of devices did in the rollout's slot since `Cohorts.sinceMs`, merged from their sketches.
 * Null means that there is no evidence; a number that is not finite makes its gate fail.
 */
export interface CohortEvidence {
  /** Devices in the cohort, whether or not they sent anything. */
  readonly devices: number;
  /** Requests that the cohort answered, errors included. */
  readonly requests: number;
  /** Errors that are not the client's, by requests; 0..1. */
  readonly errorRatio: number | null;
  /** Milliseconds by quantile; keys made with `toQuantileKey`, one for each of `toQuantiles(stage)`. */
  readonly latencyMs: Readonly<Record<string, number | null>> | null;
  /** Mean top-1 probability, 0..1. */
  readonly meanConfidence: number | null;
  /** Count per label index, sparse as on the wire. */
  readonly classCounts: Readonly<Record<string, number>> | null;
  /** Devices whose self-test passed, and devices that ran it. */
  readonly selfTestPassed: number;
  readonly selfTestTotal: number;
  /** Inputs that a shadow and the active build beside it both answered, and those with the same answer. */
  readonly agreement: { readonly compared: number; readonly agreed: number } | null;
  /** Joules of one inference; null where no device reports it, or devices measure in different ways. */
  readonly joulesPerInference: number | null;
  /** Per device of the cohort: share of node time on the provider it wanted first, 0..1; null = not proved yet. */
  readonly wantedShares: readonly (number | null)[];
}

/** Evidence for the stage that is being judged. The treatment counts only windows of the offered version. */
export interface StageEvidence {
  /** `Cohorts.stageIndex` and `Cohorts.sinceMs` that it was gathered for; it is no evidence for any other stage or time. */
  readonly stageIndex: number;
  readonly sinceMs: number;
  readonly treatment: CohortEvidence;
  readonly control: CohortEvidence;
}

export interface RolloutSnapshot {
  readonly record: RolloutRecord;
  /** Every device that matches the selector now, and every device that the record names. Order does not matter. */
  readonly fleet: readonly FleetDevice[];
  /** For the stage that `toCohorts` names; null when no stage is being judged. */
  readonly evidence: StageEvidence | null;
  /** Why devices would not take the release now: nobody vouches for it any more, or its time is over. Absent: they would. */
  readonly withdrawn?: Withdrawal | null;
}

export interface Withdrawal {
  readonly code: string;
  readonly reason: string;
}

/** Whose evidence the stage in question needs, so that plane and gates mean the same devices. */
export interface Cohorts {
  readonly stageIndex: number;
  /** True when the release runs as a shadow: the treatment's active builds are the control. */
  readonly shadow: boolean;
  /** Devices of the stage that were offered the release. */
  readonly treatment: readonly string[];
  /** Devices of the rollout's selector that run another release of the slot and were not offered this one. */
  readonly control: readonly string[];
  /** Windows that begin before this time are not evidence. */
  readonly sinceMs: number;
  /** The quantiles that the stage's latency gates ask for. */
  readonly quantiles: readonly number[];
}
