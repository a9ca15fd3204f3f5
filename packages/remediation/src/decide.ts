import type { Action, DeviceObservation, RemediationCase } from "./case.ts";
import type { RemediationConfig } from "./rules.ts";

export interface DecideOptions {
  readonly observations: readonly DeviceObservation[];
  /** Every case that has not ended, and of the ended ones at least those of the longest cool-down or still holding. */
  readonly cases: readonly RemediationCase[];
  readonly config: RemediationConfig;
  readonly nowMs: number;
}

/**
 * What to do next, in order. Total, deterministic, idempotent. Cases are opened in one call and worked on in the next:
 * apply, execute, and call again until the answer is empty.
 */
export function decide(options: DecideOptions): readonly Action[] {
  void options;
  return [];
}

export interface ApplyActionOptions {
  readonly nowMs: number;
  /** The new case's id, for `open-case` and `suppress-case`. */
  readonly remediationId?: string;
  /** The new command's id, for `issue-command`. */
  readonly commandId?: string;
}

/** The case after one action; `current` is null for `open-case` and `suppress-case`. */
export function applyAction(
  current: RemediationCase | null,
  action: Action,
  options: ApplyActionOptions,
): RemediationCase {
  void action;
  void options;
  if (current === null) throw new Error("not built yet");
  return current;
}
