import type { JobState, PauseReason, RolloutSpec, RolloutState, StageState, Verdict } from "@fairlead/protocol";

/** A release that a slot was asked to run. */
export interface ReleaseReference {
  readonly releaseId: string;
  readonly version: string;
}

/**
 * Where a device stands in a rollout: `planned` it has a stage; `offered` its desired state names this rollout;
 * `reverting` it was asked to go back; `reverted` it said that it did; `excluded` it takes no part (see `note`).
 */
export type RolloutDevicePhase = "planned" | "offered" | "reverting" | "reverted" | "excluded";

/** How a device's job ended, kept because a later job replaces it in the device's report. */
export interface DeviceOutcome {
  readonly attempt: number;
  readonly state: JobState;
  readonly code: string | null;
  readonly reason: string | null;
  readonly selfTestPassed: boolean | null;
}

export interface RolloutDevice {
  readonly device: string;
  /** Index into `spec.stages`; null while the device is excluded. */
  readonly stageIndex: number | null;
  readonly phase: RolloutDevicePhase;
  /** True when it joined after its stage began to soak: it is offered the release, but no longer judged. */
  readonly late: boolean;
  /** Time of the last offer or revert. */
  readonly offeredAtMs: number | null;
  /** 0 before the first offer. Grows with every offer and every revert, so that a job names exactly one request. */
  readonly attempt: number;
  /** What the slot was asked to run before the first offer; null = it was empty. */
  readonly previous: ReleaseReference | null;
  /** End of the present attempt; null while it works or has not said anything. */
  readonly outcome: DeviceOutcome | null;
  /** Why the device is excluded or late; null otherwise. */
  readonly note: string | null;
}

export interface StageRecord {
  readonly name: string;
  readonly state: StageState;
  readonly startedAtMs: number | null;
  readonly soakingSinceMs: number | null;
  readonly endedAtMs: number | null;
  /** Time spent paused; it does not count against the stage's time limits. */
  readonly pausedMs: number;
  readonly approved: boolean;
  readonly verdicts: readonly Verdict[];
}

/** All that is persisted of a rollout. Changed only by a `RolloutDraft` and `applyRolloutAction`. */
export interface RolloutRecord {
  readonly rolloutId: string;
  readonly spec: RolloutSpec;
  /** The release of `spec.model` `spec.version` that devices are offered. */
  readonly releaseId: string;
  readonly state: RolloutState;
  readonly pauseReason: PauseReason | null;
  readonly pausedAtMs: number | null;
  /** Machine code and human reason of the present state. */
  readonly code: string;
  readonly reason: string;
  readonly createdAtMs: number;
  readonly stages: readonly StageRecord[];
  readonly devices: readonly RolloutDevice[];
}

export interface CreateRolloutOptions {
  readonly rolloutId: string;
  readonly spec: RolloutSpec;
  readonly releaseId: string;
  readonly createdAtMs: number;
  /** Default `ready`: the next reconcile starts it. `draft` and `pending_approval` wait for the action `promote`. */
  readonly state?: "draft" | "pending_approval" | "ready";
}

/** A new rollout that has touched nothing. Check the spec with `checkRolloutSpec` first. */
export function createRollout({
  rolloutId,
  spec,
  releaseId,
  createdAtMs,
  state = "ready",
}: CreateRolloutOptions): RolloutRecord {
  return {
    rolloutId,
    spec,
    releaseId,
    state,
    pauseReason: null,
    pausedAtMs: null,
    code: "created",
    reason: `rollout of ${spec.model} ${spec.version} created`,
    createdAtMs,
    stages: spec.stages.map((stage) => ({
      name: stage.name,
      state: "scheduled",
      startedAtMs: null,
      soakingSinceMs: null,
      endedAtMs: null,
      pausedMs: 0,
      approved: false,
      verdicts: [],
    })),
    devices: [],
  };
}
