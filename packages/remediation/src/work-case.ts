import type { CommandAction } from "@fairlead/protocol";
import type { Action, CaseAction, DeviceObservation, RemediationCase } from "./case.ts";
import { toOutcomes } from "./outcomes.ts";
import type { RemediationConfig, Rule } from "./rules.ts";
import { isRepairable, toSymptoms } from "./symptoms.ts";

export interface CaseContext {
  readonly current: RemediationCase;
  readonly rule: Rule;
  readonly seen: DeviceObservation;
  readonly config: RemediationConfig;
  readonly nowMs: number;
  /** Another case's alert says the same already. */
  readonly told: boolean;
}

const numbers = {};
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** The commands of one attempt, from what fails now; empty when nothing can be asked of the device. */
export function toCommands({ rule, seen, current }: CaseContext): readonly CommandAction[] {
  const slot = text(current.evidence["slot"]);
  return rule.steps.flatMap((step): CommandAction[] => {
    if (step === "revert") {
      const buildDigest = text(current.evidence["buildDigest"]);
      return [{ kind: "revert", slot, buildDigest, reason: current.reason.slice(0, 256) }];
    }
    return seen.integrity.failing.filter(isRepairable).flatMap((failing): CommandAction[] => {
      if (failing.slot === null || failing.expected === null || failing.sizeBytes === null) return [];
      if (step === "stop-serving")
        return [{ kind: "stop-serving", slot: failing.slot, reason: `${failing.name} failed its integrity check` }];
      const artifact = { digest: failing.expected, sizeBytes: failing.sizeBytes };
      return [{ kind: "repair-artifact", slot: failing.slot, artifact }];
    });
  });
}

/** True when the device shows by itself that the symptom is gone. What is not known is not verified. */
export function isVerified({ current, rule, seen, config, nowMs }: CaseContext): boolean {
  switch (rule.symptom) {
    case "integrity-failed": {
      // Evidence must be younger than what was done, or it speaks of the time before.
      const sinceMs = current.attemptAtMs ?? current.detectedAtMs;
      const { state, evidenceAtMs } = seen.integrity;
      if (state !== "verified" || evidenceAtMs === null || evidenceAtMs < sinceMs) return false;
      // What nothing was done about need not serve: its slot may have been emptied meanwhile.
      if (rule.steps.length === 0) return true;
      const repaired = toRepairedSlots(current);
      return seen.slots.every(({ slot, serving }) => serving || !repaired.has(slot));
    }
    case "crash-loop": {
      const slot = seen.slots.find((candidate) => candidate.slot === current.evidence["slot"]);
      const moved = slot?.activeBuildDigest !== undefined && slot.activeBuildDigest !== null;
      return moved && slot.serving && slot.activeBuildDigest !== current.evidence["buildDigest"];
    }
    case "placement-missed": {
      const slot = seen.slots.find((candidate) => candidate.slot === current.evidence["slot"]);
      // Where nothing is installed, nothing is missed.
      if (slot === undefined || slot.activeBuildDigest === null) return true;
      return slot.serving && slot.missedPlacement === null;
    }
    case "device-silent":
      // A start of the plane is no word of the device: a case that waits goes on waiting.
      return (
        seen.online ||
        !toSymptoms({ ...seen, listeningSinceMs: 0 }, { config, nowMs }).some(({ kind }) => kind === "device-silent")
      );
  }
}

function toRepairedSlots({ evidence }: RemediationCase): ReadonlySet<string> {
  const failing = evidence["failing"];
  if (!Array.isArray(failing)) return new Set();
  return new Set(
    failing.flatMap((measurement: unknown) =>
      typeof measurement === "object" && measurement !== null && "slot" in measurement && text(measurement.slot) !== ""
        ? [text(measurement.slot)]
        : [],
    ),
  );
}

function toCommandsOfAttempt({ actions, attempt }: RemediationCase): readonly CaseAction[] {
  return actions.filter((action) => action.commandId !== null && action.attempt === attempt);
}

/** A case fires once, and none beside one that fires: what cannot be repaired is told of once, not at every try. */
function isTold({ current, told }: CaseContext): boolean {
  return current.alert !== "none" || told;
}

/** First attempt, or the next one; or the end when there are none left. */
function attemptOrGiveUp(context: CaseContext, why: { code: string; reason: string }): readonly Action[] {
  const { current, rule, seen, nowMs } = context;
  const id = { remediationId: current.remediationId, device: current.device };
  const close: Action = { kind: "close-case", ...id, state: "failed", ...why, numbers: { attempts: current.attempt } };
  const alert: Action = { kind: "fire-alert", ...id, alertKind: rule.name, ...why, numbers };
  const giveUp = isTold(context) ? [close] : [alert, close];
  if (current.attempt >= rule.maxAttempts) return giveUp;
  if (current.attempt > 0 && nowMs - (current.attemptAtMs ?? nowMs) < rule.retryDelayMs) return [];
  // A device that is away is waited for, not given up.
  if (current.attempt > 0 && !seen.online) return [];
  const slot = seen.slots.find((candidate) => candidate.slot === current.evidence["slot"]);
  const reverts = rule.steps.includes("revert");
  const to = slot?.previousBuildDigest ?? null;
  if (reverts && to === null) {
    const none = { code: "no_previous_build", reason: `slot ${text(current.evidence["slot"])} has no previous build` };
    return [...(isTold(context) ? [] : [{ ...alert, ...none }]), { ...close, ...none }];
  }
  const commands = toCommands(context);
  if (rule.steps.length > 0 && commands.length === 0) return giveUp;
  const attempt = current.attempt + 1;
  const actions: Action[] = [
    {
      kind: "start-attempt",
      ...id,
      attempt,
      code: rule.steps.length === 0 ? "waiting_for_recovery" : "attempting",
      reason: `rule ${rule.name}, attempt ${attempt} of ${rule.maxAttempts}: ${why.reason}`,
      numbers: { attempt, maxAttempts: rule.maxAttempts },
    },
  ];
  if (rule.alert === "always" && !isTold(context)) actions.push(alert);
  if (rule.quarantine && current.quarantine === "none" && seen.lifecycle === "enrolled")
    actions.push({ kind: "quarantine", ...id, ...why, numbers });
  if (reverts && to !== null)
    actions.push({
      kind: "withdraw-release",
      ...id,
      slot: text(current.evidence["slot"]),
      fromBuildDigest: text(current.evidence["buildDigest"]),
      toBuildDigest: to,
      ...why,
      numbers,
    });
  for (const action of commands)
    actions.push({
      kind: "issue-command",
      ...id,
      action,
      attempt,
      deadlineAtMs: nowMs + rule.commandTimeoutMs,
      code: action.kind.replaceAll("-", "_"),
      reason: `${action.kind} is asked of ${current.device}`,
      numbers: { attempt },
    });
  if (commands.length === 0)
    actions.push({
      kind: "start-verifying",
      ...id,
      code: "waiting_for_recovery",
      reason: `nothing is done automatically; waits until ${current.device} shows that it is well`,
      numbers,
    });
  return actions;
}

/** What a case that only holds its device does while it waits. */
function holdOn({ current, rule, seen }: CaseContext): readonly Action[] {
  const id = { remediationId: current.remediationId, device: current.device };
  const { state, failing } = seen.integrity;
  if (state !== "failed") return [];
  // The quarantine stays: it ends with verified evidence only. Open, the case would keep the files from their repair.
  if (failing.length > 0 && failing.every(isRepairable)) {
    const why = { code: "only_repairable_files", reason: `what still fails of ${current.device} can be repaired` };
    return [{ kind: "close-case", ...id, state: "resolved", ...why, numbers: { files: failing.length } }];
  }
  // A device that was in quarantine for something else may be out of it by now.
  if (!rule.quarantine || current.quarantine !== "none" || seen.lifecycle !== "enrolled") return [];
  return [{ kind: "quarantine", ...id, code: current.code, reason: current.reason, numbers }];
}

/** The next actions of one case that has not ended. */
export function workCase(context: CaseContext): readonly Action[] {
  const { current, rule, nowMs } = context;
  const id = { remediationId: current.remediationId, device: current.device };
  if (current.state === "detected" && !isVerified(context))
    return attemptOrGiveUp(context, { code: current.code, reason: current.reason });
  const commands = toCommandsOfAttempt(current);
  const told = toOutcomes(context);
  if (told.length > 0) return told;
  if (isVerified(context))
    return [
      {
        kind: "close-case",
        ...id,
        state: "resolved",
        code: "verified",
        reason: `${current.device} shows that it is well again`,
        numbers: { attempts: current.attempt, tookMs: nowMs - current.detectedAtMs },
      },
    ];
  if (current.symptom === "integrity-failed" && rule.steps.length === 0) {
    const held = holdOn(context);
    if (held.length > 0) return held;
  }
  const failed = commands.find(({ state }) => state === "failed");
  if (failed !== undefined)
    return attemptOrGiveUp(context, { code: "command_failed", reason: `${failed.kind} failed: ${failed.detail}` });
  if (current.state === "executing")
    return commands.every(({ state }) => state === "done")
      ? [
          {
            kind: "start-verifying",
            ...id,
            code: "commands_done",
            reason: `waits for evidence from ${current.device} that it helped`,
            numbers: { commands: commands.length },
          },
        ]
      : [];
  if (rule.verifyTimeoutMs === null || nowMs - (current.verifyingSinceMs ?? nowMs) < rule.verifyTimeoutMs) return [];
  const reason = `no evidence within ${rule.verifyTimeoutMs / 1_000} s that the action helped`;
  return attemptOrGiveUp(context, { code: "verify_timeout", reason });
}
