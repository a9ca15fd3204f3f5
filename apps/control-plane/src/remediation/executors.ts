import type { DeviceLifecycle } from "@fairlead/protocol";
import type { ActionKind, ActionOf } from "@fairlead/remediation";
import type { Transaction } from "@fairlead/store";
import type { RemediationPorts } from "./ports.ts";

export interface ExecuteOptions {
  readonly tx: Transaction;
  readonly ports: RemediationPorts;
}

/** What the action made, for the case: the id of an issued command. */
export interface Executed {
  readonly commandId?: string;
}

type Executor<Kind extends ActionKind> = (action: ActionOf<Kind>, options: ExecuteOptions) => Promise<Executed>;
type Executors = { readonly [Kind in ActionKind]: Executor<Kind> };

const inCaseOnly = async (): Promise<Executed> => ({});

async function changeLifecycle(
  { tx, ports }: ExecuteOptions,
  name: string,
  change: { readonly from: DeviceLifecycle; readonly to: DeviceLifecycle },
): Promise<Executed> {
  const device = await tx.devices.get(name);
  if (device?.lifecycle !== change.from) return {};
  await tx.devices.update(name, { lifecycle: change.to, revision: device.revision + 1 });
  await ports.stream.emit(tx, "device", name);
  tx.afterCommit(() => ports.onDeviceChanged(name));
  return {};
}

/** The slot's desired release becomes the one that the device ran before, so that the next desired state agrees with it. */
const withdraw: Executor<"withdraw-release"> = async ({ device, slot, toBuildDigest }, { tx, ports }) => {
  const previous = (await tx.devices.get(device))?.reported?.slots.find((report) => report.slot === slot)?.previous;
  const row = (await tx.devices.listSlots(device)).find((candidate) => candidate.slot === slot);
  if (previous === null || previous === undefined || previous.buildDigest !== toBuildDigest || row === undefined)
    return {};
  const release = await tx.releases.get(previous.releaseId);
  if (release === undefined) return {};
  const { attempt, soakMs } = row;
  await ports.desired.setSlots(tx, device, [
    { slot, release: release.document, rolloutId: null, attempt: attempt + 1, soakMs },
  ]);
  return {};
};

/** What each action does outside the case's own record; an action without an executor does not compile. */
export const executors: Executors = {
  "open-case": inCaseOnly,
  "suppress-case": inCaseOnly,
  "start-attempt": inCaseOnly,
  quarantine: ({ device }, options) => changeLifecycle(options, device, { from: "enrolled", to: "quarantined" }),
  "issue-command": async ({ device, action, deadlineAtMs, remediationId }, { tx, ports }) => ({
    commandId: await ports.commands.issue(tx, { device, action, deadlineAtMs, remediationId }),
  }),
  "withdraw-release": withdraw,
  "record-outcome": inCaseOnly,
  "start-verifying": inCaseOnly,
  "fire-alert": async ({ device, alertKind, remediationId, reason }, { tx, ports }) => {
    await ports.alerts.fire(tx, { kind: alertKind, device, summary: reason, remediationId });
    return {};
  },
  "resolve-alert": async ({ remediationId }, { tx, ports }) => {
    for (const { alertId } of await tx.alerts.listFiring({ remediationId })) await ports.alerts.resolve(tx, alertId);
    return {};
  },
  "release-quarantine": ({ device }, options) =>
    changeLifecycle(options, device, { from: "quarantined", to: "enrolled" }),
  "close-case": async ({ remediationId, device, state, code, reason }, { tx, ports }) => {
    const data = { remediationId, device, state, code, reason: reason.slice(0, 1_000) };
    await ports.announcements.announce(tx, { type: `remediation.${state}`, subject: remediationId, data });
    return {};
  },
};

export function execute<Kind extends ActionKind>(action: ActionOf<Kind>, options: ExecuteOptions): Promise<Executed> {
  // The table is keyed by the action's own kind, so the executor found is the one for this action.
  const executor = executors[action.kind as Kind] as unknown as Executor<Kind>;
  return executor(action, options);
}
