import type { Action, DeviceObservation, RemediationCase } from "./case.ts";
import type { Rule } from "./rules.ts";

export interface OutcomeContext {
  readonly current: RemediationCase;
  readonly rule: Pick<Rule, "commandTimeoutMs">;
  readonly seen: Pick<DeviceObservation, "commands">;
  readonly nowMs: number;
}

/**
 * How each command that the case still waits for ended. A case may end before its device has answered (what it shows
 * counts, not what it says), so this holds for ended cases too: every step says how it ended, by the bound at the latest.
 */
export function toOutcomes({ current, rule, seen, nowMs }: OutcomeContext): readonly Action[] {
  return current.actions.flatMap((command): Action[] => {
    const { commandId } = command;
    if (command.state !== "issued" || commandId === null) return [];
    const answer = seen.commands.find((one) => one.commandId === commandId);
    // No answer long after the deadline counts as none coming: the plane or the device may have forgotten it.
    const lost = nowMs - command.atMs >= 2 * rule.commandTimeoutMs;
    const outcome =
      answer === undefined || answer.outcome === "pending" ? (lost ? "expired" : "pending") : answer.outcome;
    if (outcome === "pending") return [];
    return [
      {
        kind: "record-outcome",
        remediationId: current.remediationId,
        device: current.device,
        commandId,
        done: outcome === "done",
        code: `command_${outcome}`,
        reason: answer?.reason ?? `${command.kind} ended with ${outcome}`,
        numbers: {},
      },
    ];
  });
}
