import { toErrorMessage } from "@fairlead/kernel";
import type { CommandAction, ReplyMessage, SignedCommand } from "@fairlead/protocol";
import type { CommandRow, Device, Transaction } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import { wholeFleet } from "../authority/scope.ts";
import type { DeviceHooks, PlaneContext, PlaneModule } from "../context.ts";
import { requireDevice } from "../devices/require-device.ts";

export interface IssueOptions {
  readonly device: string;
  readonly action: CommandAction;
  readonly deadlineAtMs: number;
  readonly remediationId: string | null;
}

export interface CommandOutbox extends PlaneModule {
  /** Signs and stores the command; it is published after the commit and again at each birth until it is answered. */
  issue(tx: Transaction, options: IssueOptions): Promise<string>;
}

const expireEveryMs = 1_000;

/** Commands live in the store; the broker only carries them. A command ends once: answered, or expired. */
export function createCommandOutbox(context: PlaneContext): CommandOutbox {
  const { clock, link, logger, store, tenant } = context;
  let timer: NodeJS.Timeout | undefined;

  const publish = ({ signed, signatures }: SignedCommand): void => {
    const topic = { kind: "command", tenant, device: signed.device, commandId: signed.commandId } as const;
    link
      .publish(topic, { signed, signatures })
      .catch((error: unknown) => logger.warn("a command was not published", { error: toErrorMessage(error) }));
  };

  const giveUp = async (tx: Transaction, row: CommandRow, why: { readonly code: string; readonly reason: string }) => {
    const { code, reason } = why;
    await tx.commands.end(row.commandId, { state: "expired", code, reason, endedAtMs: clock.nowMs() });
    await context.audit.append(tx, {
      ...toOwnDecision("commands"),
      action: "command.expire",
      subject: row.device,
      reason,
      change: { before: { state: row.state }, after: { state: "expired", code } },
      details: { commandId: row.commandId, deadlineAtMs: row.deadlineAtMs },
    });
  };

  const expire = (): Promise<void> =>
    store.transaction(async (tx) => {
      const reason = "the device did not answer before the deadline";
      for (const row of await tx.commands.listOverdue(clock.nowMs()))
        await giveUp(tx, row, { code: "expired", reason });
    });

  const count = async (tx: Transaction, { device, commandGeneration }: Device, atLeast = 0): Promise<number> => {
    const generation = Math.max(commandGeneration, atLeast) + 1;
    await tx.devices.update(device, { commandGeneration: generation });
    return generation;
  };

  /** As with desired states: a device that knows a higher generation than we do (a restored backup) would refuse ours. */
  const issueAnew = async (tx: Transaction, row: CommandRow, atLeast: number): Promise<SignedCommand> => {
    const { signed } = row.document;
    const generation = await count(tx, await requireDevice(tx, row.device, wholeFleet), atLeast);
    const document = context.sign({ ...signed, generation });
    await tx.commands.replace(row.commandId, document);
    await context.audit.append(tx, {
      ...toOwnDecision("commands"),
      action: "command.issue",
      subject: row.device,
      reason: "the device knew commands that this plane did not: signed anew, beyond them",
      change: { before: { generation: signed.generation }, after: { generation } },
      details: { commandId: row.commandId, kind: signed.action.kind },
    });
    return document;
  };

  /** What is still to be said to whoever has the name now, in the order in which it was issued. */
  const listSayable = async (tx: Transaction, { device, enrolledKey }: Device): Promise<readonly CommandRow[]> => {
    const rows = await tx.commands.listPending(device);
    const reason = "the device was enrolled anew since; it was asked of the one before";
    for (const row of rows)
      if (row.document.signed.enrolledKey !== enrolledKey) await giveUp(tx, row, { code: "foreign_enrolment", reason });
    return rows
      .filter((row) => row.document.signed.enrolledKey === enrolledKey)
      .toSorted((left, right) => left.document.signed.generation - right.document.signed.generation);
  };

  const hooks: DeviceHooks = {
    onBirth: async (tx, name, { commandGeneration: known }) => {
      const device = await requireDevice(tx, name, wholeFleet);
      const isBehind = known > device.commandGeneration;
      const documents: SignedCommand[] = [];
      for (const row of await listSayable(tx, device))
        documents.push(isBehind ? await issueAnew(tx, row, known) : row.document);
      if (isBehind && documents.length === 0) await tx.devices.update(name, { commandGeneration: known });
      tx.afterCommit(() => documents.forEach(publish));
    },
    onReply: async (tx, { device, from }, reply: ReplyMessage) => {
      const row = await tx.commands.get(reply.commandId);
      if (row?.device !== device) return;
      const { outcome, code, reason } = reply;
      const ended = await tx.commands.end(reply.commandId, {
        state: outcome,
        code,
        reason,
        endedAtMs: clock.nowMs(),
      });
      if (!ended) return;
      await context.audit.append(tx, {
        ...{ actor: `device:${device}`, from },
        action: "command.reply",
        subject: device,
        reason: reason ?? outcome,
        change: { before: { state: row.state }, after: { state: outcome, code } },
        details: { commandId: reply.commandId, kind: row.document.signed.action.kind },
      });
    },
  };

  return {
    name: "commands",
    routes: [],
    hooks,
    start: async () => {
      timer = setInterval(() => {
        expire().catch((error: unknown) => logger.error("commands not expired", { error: toErrorMessage(error) }));
      }, expireEveryMs);
      timer.unref();
    },
    stop: async () => clearInterval(timer),
    issue: async (tx, { device, action, deadlineAtMs, remediationId }) => {
      const commandId = context.createId("cmd");
      const issuedAtMs = clock.nowMs();
      const addressee = await requireDevice(tx, device, wholeFleet);
      const { enrolledKey } = addressee;
      const generation = await count(tx, addressee);
      const document = context.sign({
        ...{ type: "command", v: 1, tenant, device, enrolledKey, commandId, generation },
        ...{ issuedAtMs, deadlineAtMs, action },
      } as const);
      await tx.commands.add({
        ...{ commandId, device, state: "pending", code: null, reason: null, remediationId, document },
        ...{ issuedAtMs, deadlineAtMs, endedAtMs: null },
      });
      await context.audit.append(tx, {
        ...toOwnDecision(remediationId === null ? "commands" : "remediation"),
        action: "command.issue",
        subject: device,
        reason: `${action.kind} for ${device}`,
        change: { before: null, after: { state: "pending", kind: action.kind } },
        details: { commandId, generation, deadlineAtMs, remediationId },
      });
      tx.afterCommit(() => publish(document));
      return commandId;
    },
  };
}
