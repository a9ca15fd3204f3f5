import { toErrorMessage } from "@fairlead/kernel";
import type { CommandAction, ReplyMessage, SignedCommand } from "@fairlead/protocol";
import type { Transaction } from "@fairlead/store";
import { toOwnDecision } from "../audit/own-decision.ts";
import type { DeviceHooks, PlaneContext, PlaneModule } from "../context.ts";

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

  const expire = (): Promise<void> =>
    store.transaction(async (tx) => {
      const nowMs = clock.nowMs();
      for (const row of await tx.commands.listOverdue(nowMs)) {
        const reason = "the device did not answer before the deadline";
        await tx.commands.end(row.commandId, { state: "expired", code: "expired", reason, endedAtMs: nowMs });
        await context.audit.append(tx, {
          ...toOwnDecision("commands"),
          action: "command.expire",
          subject: row.device,
          reason,
          change: { before: { state: row.state }, after: { state: "expired" } },
          details: { commandId: row.commandId, deadlineAtMs: row.deadlineAtMs },
        });
      }
    });

  const hooks: DeviceHooks = {
    onBirth: async (tx, device) => {
      const pending = await tx.commands.listPending(device);
      tx.afterCommit(() => pending.forEach((row) => publish(row.document)));
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
      const document = context.sign({
        ...{ type: "command", v: 1, tenant, device, commandId, issuedAtMs, deadlineAtMs, action },
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
        details: { commandId, deadlineAtMs, remediationId },
      });
      tx.afterCommit(() => publish(document));
      return commandId;
    },
  };
}
