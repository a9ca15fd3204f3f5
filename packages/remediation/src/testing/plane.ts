import type { CommandAction } from "@fairlead/protocol";
import { applyAction } from "../apply.ts";
import type { Action, DeviceObservation, FailingMeasurement, RemediationCase } from "../case.ts";
import { decide } from "../decide.ts";
import { defaultRemediationConfig } from "../rules.ts";

export const startMs = 1_800_000_000_000;
export const oldBuild = `sha256:${"a".repeat(64)}`;
export const newBuild = `sha256:${"b".repeat(64)}`;

export function failing(changes: Partial<FailingMeasurement> = {}): FailingMeasurement {
  return {
    kind: "model",
    name: "slot/reader",
    slot: "reader",
    expected: oldBuild,
    actual: newBuild,
    sizeBytes: 1_024,
    ...changes,
  };
}

export function toObservation(device: string, changes: Partial<DeviceObservation> = {}): DeviceObservation {
  return {
    device,
    lifecycle: "enrolled",
    doubted: false,
    online: true,
    lastSeenMs: startMs,
    listeningSinceMs: startMs,
    integrity: { state: "verified", evidenceAtMs: startMs, failing: [] },
    crashes: [],
    slots: [
      {
        slot: "reader",
        serving: true,
        activeBuildDigest: oldBuild,
        previousBuildDigest: null,
        confirmed: true,
        missedPlacement: null,
      },
    ],
    commands: [],
    ...changes,
  };
}

/** A plane in a few lines: gives ids, keeps cases, moves life cycles, lets devices answer commands. */
export function createPlane(observations: readonly DeviceObservation[]) {
  const fleet = new Map(observations.map((seen) => [seen.device, seen]));
  const cases = new Map<string, RemediationCase>();
  const commands: (CommandAction & { readonly device: string; readonly commandId: string })[] = [];
  let nowMs = startMs;
  let ids = 0;
  const change = (device: string, changes: Partial<DeviceObservation>): void => {
    fleet.set(device, { ...(fleet.get(device) ?? toObservation(device)), ...changes });
  };
  const next = (): readonly Action[] =>
    decide({ observations: [...fleet.values()], cases: [...cases.values()], config: defaultRemediationConfig, nowMs });
  const execute = (action: Action): void => {
    const opens = action.kind === "open-case" || action.kind === "suppress-case";
    ids += 1;
    const remediationId = opens ? `rem-${ids}` : action.remediationId;
    const commandId = `cmd-${ids}`;
    cases.set(
      remediationId,
      applyAction(cases.get(remediationId) ?? null, action, { nowMs, remediationId, commandId }),
    );
    if (action.kind === "quarantine") change(action.device, { lifecycle: "quarantined" });
    if (action.kind === "release-quarantine") change(action.device, { lifecycle: "enrolled" });
    if (action.kind === "issue-command") {
      commands.push({ ...action.action, device: action.device, commandId });
      const seen = fleet.get(action.device) ?? toObservation(action.device);
      const command = { commandId, outcome: "pending" as const, reason: null };
      change(action.device, { commands: [...seen.commands, command] });
    }
  };
  return {
    commands,
    change,
    next,
    get nowMs() {
      return nowMs;
    },
    get cases() {
      return [...cases.values()];
    },
    get fleet() {
      return [...fleet.values()];
    },
    seen: (device: string) => fleet.get(device) ?? toObservation(device),
    advance(ms: number) {
      nowMs += ms;
    },
    /** Calls `decide` until it has nothing to say. */
    settle(): readonly Action[] {
      const all: Action[] = [];
      for (let round = 0; round < 12; round += 1) {
        const actions = next();
        if (actions.length === 0) return all;
        for (const action of actions) execute(action);
        all.push(...actions);
      }
      throw new Error(`does not settle: ${JSON.stringify(all.slice(-3))}`);
    },
    answer(device: string, outcome: "done" | "failed" | "expired") {
      const seen = fleet.get(device) ?? toObservation(device);
      change(device, {
        commands: seen.commands.map((command) =>
          command.outcome === "pending" ? { ...command, outcome, reason: null } : command,
        ),
      });
    },
  };
}
