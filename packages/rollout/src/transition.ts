import { CodedError } from "@fairlead/kernel";
import type { RolloutState, StageState } from "@fairlead/protocol";

export type RolloutEvent =
  | "approve"
  | "start"
  | "pause"
  | "resume"
  | "succeed"
  | "fail"
  | "cancel"
  | "roll-back"
  | "reverted"
  | "revert-failed";

export type StageEvent = "start" | "soak" | "pass" | "fail" | "skip" | "reopen";

/**
 * State × event → state; an absent event is refused. Ends are never left by reconcile; only a person leaves two of
 * them: `succeeded` by undo and `rollback_failed` by retry.
 */
export const rolloutTransitions: Readonly<Record<RolloutState, Readonly<Partial<Record<RolloutEvent, RolloutState>>>>> =
  {
    draft: { approve: "ready", cancel: "canceled" },
    pending_approval: { approve: "ready", cancel: "canceled" },
    ready: { start: "running", cancel: "canceled" },
    running: { pause: "paused", "roll-back": "rolling_back", succeed: "succeeded", fail: "failed", cancel: "canceled" },
    paused: { pause: "paused", resume: "running", "roll-back": "rolling_back", fail: "failed", cancel: "canceled" },
    succeeded: { "roll-back": "rolling_back" },
    failed: {},
    canceled: {},
    rolling_back: { reverted: "rolled_back", "revert-failed": "rollback_failed" },
    rolled_back: {},
    rollback_failed: { "roll-back": "rolling_back" },
  };

/** `failed` is left only by a person: `reopen` judges it again, `pass` overrules its gates. */
export const stageTransitions: Readonly<Record<StageState, Readonly<Partial<Record<StageEvent, StageState>>>>> = {
  scheduled: { start: "running", skip: "skipped" },
  running: { soak: "soaking", pass: "passed", fail: "failed", skip: "skipped" },
  soaking: { pass: "passed", fail: "failed", skip: "skipped" },
  passed: {},
  failed: { reopen: "running", pass: "passed" },
  skipped: {},
};

function admit<State extends string, Event extends string>(
  table: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>>,
  state: State,
  event: Event,
): State {
  const next = table[state][event];
  if (next !== undefined) return next;
  const admitting = (Object.keys(table) as State[]).filter((candidate) => table[candidate][event] !== undefined);
  throw new CodedError("transition_refused", `"${event}" is refused in state ${state}`, {
    hint: `states that admit it: ${admitting.join(", ")}`,
    details: { state, event, admitting },
  });
}

/** @throws CodedError `transition_refused`, naming the states that admit the event */
export function transitionRollout(state: RolloutState, event: RolloutEvent): RolloutState {
  return admit(rolloutTransitions, state, event);
}

/** @throws CodedError `transition_refused`, naming the states that admit the event */
export function transitionStage(state: StageState, event: StageEvent): StageState {
  return admit(stageTransitions, state, event);
}

const ends: ReadonlySet<RolloutState> = new Set(["succeeded", "failed", "canceled", "rolled_back", "rollback_failed"]);

/** True when the rollout asks nothing more of the devices it has. A succeeded one still takes newcomers. */
export function isRolloutEnd(state: RolloutState): boolean {
  return ends.has(state);
}
