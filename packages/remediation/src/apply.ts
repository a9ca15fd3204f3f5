import { assertNever, CodedError } from "@fairlead/kernel";
import type { RemediationState } from "@fairlead/protocol";
import type { Action, CaseAction, RemediationCase } from "./case.ts";

export interface ApplyActionOptions {
  readonly nowMs: number;
  /** The new case's id, for `open-case` and `suppress-case`. */
  readonly remediationId?: string;
  /** The new command's id, for `issue-command`. */
  readonly commandId?: string;
}

/** State → states that may follow. Ends are never left. */
export const remediationTransitions: Readonly<Record<RemediationState, readonly RemediationState[]>> = {
  detected: ["executing", "suppressed", "resolved", "failed"],
  planned: ["awaiting_approval", "executing"],
  awaiting_approval: ["executing", "failed"],
  executing: ["executing", "verifying", "resolved", "failed"],
  verifying: ["executing", "resolved", "failed"],
  resolved: [],
  failed: [],
  suppressed: [],
};

function move(current: RemediationCase, state: RemediationState): RemediationCase {
  if (!remediationTransitions[current.state].includes(state))
    throw new CodedError(
      "transition_refused",
      `case ${current.remediationId} cannot go from ${current.state} to ${state}`,
    );
  return { ...current, state };
}

/**
 * The case after one action; `current` is null for `open-case` and `suppress-case` only.
 * @throws CodedError `transition_refused`, `case_missing`, `id_missing`
 */
export function applyAction(
  current: RemediationCase | null,
  action: Action,
  { nowMs, remediationId, commandId }: ApplyActionOptions,
): RemediationCase {
  if (action.kind === "open-case" || action.kind === "suppress-case") {
    if (remediationId === undefined) throw new CodedError("id_missing", "a new case needs a remediationId");
    const { device, rule, symptom, evidence, code, reason } = action;
    const suppressed = action.kind === "suppress-case";
    return {
      ...{ remediationId, device, rule, symptom, evidence, code, reason },
      state: suppressed ? "suppressed" : "detected",
      detectedAtMs: nowMs,
      updatedAtMs: nowMs,
      endedAtMs: suppressed ? nowMs : null,
      actions: [],
      attempt: 0,
      attemptAtMs: null,
      verifyingSinceMs: null,
      quarantine: "none",
      alert: "none",
    };
  }
  if (current === null || current.remediationId !== action.remediationId)
    throw new CodedError("case_missing", `${action.kind} needs the case ${action.remediationId}`);
  const note = (state: CaseAction["state"], more: Partial<CaseAction> = {}): readonly CaseAction[] => [
    ...current.actions,
    {
      kind: action.kind,
      atMs: nowMs,
      state,
      commandId: null,
      detail: action.reason,
      attempt: current.attempt,
      ...more,
    },
  ];
  const seen = { ...current, updatedAtMs: nowMs };
  const told = { ...seen, code: action.code, reason: action.reason };
  switch (action.kind) {
    case "start-attempt":
      return {
        ...move(told, "executing"),
        attempt: action.attempt,
        attemptAtMs: nowMs,
        verifyingSinceMs: null,
      };
    case "quarantine":
      return { ...seen, quarantine: "held", actions: note("done") };
    case "issue-command":
      if (commandId === undefined) throw new CodedError("id_missing", "an issued command needs a commandId");
      return { ...seen, actions: note("issued", { kind: action.action.kind, commandId, attempt: action.attempt }) };
    case "withdraw-release":
      return { ...seen, actions: note("done") };
    case "record-outcome":
      return {
        ...seen,
        actions: current.actions.map((done) =>
          done.commandId === action.commandId
            ? { ...done, state: action.done ? "done" : "failed", detail: action.reason }
            : done,
        ),
      };
    case "start-verifying":
      return { ...move(told, "verifying"), verifyingSinceMs: nowMs };
    case "fire-alert":
      return { ...seen, alert: "firing", actions: note("done") };
    case "resolve-alert":
      return { ...seen, alert: "resolved", actions: note("done") };
    case "release-quarantine":
      return { ...seen, quarantine: "released", actions: note("done") };
    case "close-case":
      return { ...move(told, action.state), endedAtMs: nowMs };
    default:
      return assertNever(action);
  }
}
