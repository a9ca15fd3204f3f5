import { assertNever, CodedError } from "@fairlead/kernel";
import { isJobSuccess, type RolloutAction, type RolloutState } from "@fairlead/protocol";
import { changeStage, changeState, passStage, skipOpenStages } from "./apply.ts";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";
import { isStuck, isTouched, toCurrentStage } from "./standing.ts";

export interface RolloutRequest {
  readonly action: RolloutAction;
  /** Who asks; goes into the reason of the state. */
  readonly actor: string;
  /** Why; may be empty. */
  readonly reason: string;
  /** The stage that a promotion is meant for; another one is not passed in its place. Left out: the present one. */
  readonly stage?: string | undefined;
}

/** The states in which each action is admitted; some ask for more, and say so when they refuse. */
export const actionStates: Readonly<Record<RolloutAction, readonly RolloutState[]>> = {
  pause: ["running"],
  resume: ["paused"],
  promote: ["draft", "pending_approval", "running", "paused"],
  abort: ["draft", "pending_approval", "ready", "running", "paused"],
  undo: ["succeeded"],
  retry: ["running", "paused", "succeeded", "rollback_failed"],
};

function refuse(record: RolloutRecord, action: RolloutAction, hint: string): never {
  throw new CodedError("transition_refused", `"${action}" is refused while the rollout is ${toStateText(record)}`, {
    hint,
    details: { action, state: record.state, pauseReason: record.pauseReason, admitting: actionStates[action] },
  });
}

function toStateText({ state, pauseReason }: RolloutRecord): string {
  return pauseReason === null ? state : `${state} (${pauseReason})`;
}

/** paused → running; the time of the pause does not count against the stage's limits. */
function resume(record: RolloutRecord, why: { code: string; reason: string }, nowMs: number): RolloutRecord {
  const pausedForMs = Math.max(0, nowMs - (record.pausedAtMs ?? nowMs));
  return changeState(
    {
      ...record,
      stages: record.stages.map((stage) =>
        stage.state === "running" || stage.state === "soaking"
          ? { ...stage, pausedMs: stage.pausedMs + pausedForMs }
          : stage,
      ),
    },
    "resume",
    why,
  );
}

/** A failed stage is judged afresh, with its full time. */
function reopenFailedStage(record: RolloutRecord, nowMs: number): RolloutRecord {
  const failed = record.stages.findIndex(({ state }) => state === "failed");
  if (failed === -1) return record;
  const data = {
    startedAtMs: nowMs,
    soakingSinceMs: null,
    endedAtMs: null,
    pausedMs: 0,
    approved: false,
    verdicts: [],
  };
  return changeStage(record, failed, { event: "reopen", data });
}

interface Promotion {
  readonly why: { readonly code: string; readonly reason: string };
  readonly stage: string | undefined;
}

function promote(record: RolloutRecord, { why, stage }: Promotion, nowMs: number): RolloutRecord {
  if (record.state === "draft" || record.state === "pending_approval") return changeState(record, "approve", why);
  const current = toCurrentStage(record);
  const stageIndex = current === -1 ? record.stages.findIndex(({ state }) => state === "failed") : current;
  if (stageIndex === -1) return refuse(record, "promote", "no stage runs; wait until one has begun");
  const present = record.stages[stageIndex]?.name ?? "";
  if (stage !== undefined && stage !== present)
    return refuse(record, "promote", `the stage under way is "${present}", not "${stage}"`);
  const running = record.state === "paused" ? resume(record, why, nowMs) : { ...record, ...why };
  return passStage(running, stageIndex, { approved: true, endedAtMs: nowMs });
}

function retry(record: RolloutRecord, why: { code: string; reason: string }, nowMs: number): RolloutRecord {
  if (record.state === "rollback_failed") {
    // `offered` makes reconcile ask again to go back, with the next attempt.
    const devices = record.devices.map((device): RolloutDevice =>
      isStuck(device) ? { ...device, phase: "offered", outcome: null } : device,
    );
    return changeState({ ...record, devices }, "roll-back", why);
  }
  const hasFailed = ({ phase, outcome }: RolloutDevice): boolean =>
    phase === "offered" && outcome !== null && !isJobSuccess(outcome.state);
  if (!record.devices.some(hasFailed))
    return refuse(record, "retry", "no device has failed; look at the rollout's status");
  const devices = record.devices.map((device): RolloutDevice =>
    hasFailed(device) ? { ...device, phase: "planned", outcome: null } : device,
  );
  const again = { ...record, devices };
  return record.pauseReason === "gate_failed"
    ? resume(reopenFailedStage(again, nowMs), why, nowMs)
    : record.pauseReason === null
      ? { ...again, ...why }
      : again;
}

/**
 * The record after what a person asked for; the next reconcile acts on it.
 * @throws CodedError `transition_refused`, with the states that admit the action
 */
export function applyRolloutAction(record: RolloutRecord, request: RolloutRequest, nowMs: number): RolloutRecord {
  const { action, actor } = request;
  const states = actionStates[action];
  if (!states.includes(record.state)) return refuse(record, action, `states that admit it: ${states.join(", ")}`);
  const past = {
    pause: "paused",
    resume: "resumed",
    promote: "promoted",
    abort: "aborted",
    undo: "undone",
    retry: "retried",
  };
  const code = past[action];
  const why = { code, reason: `${code} by ${actor}${request.reason === "" ? "" : `: ${request.reason}`}` };
  switch (action) {
    case "pause":
      return { ...changeState(record, "pause", why), pauseReason: "manual", pausedAtMs: nowMs };
    case "resume":
      if (record.pauseReason === "approval")
        return refuse(record, action, "it waits for approval: promote or abort it");
      return resume(reopenFailedStage(record, nowMs), why, nowMs);
    case "promote":
      return promote(record, { why, stage: request.stage }, nowMs);
    case "abort":
    case "undo":
      return skipOpenStages(changeState(record, record.devices.some(isTouched) ? "roll-back" : "cancel", why), nowMs);
    case "retry":
      return retry(record, why, nowMs);
    default:
      return assertNever(action);
  }
}
