import { verifyCommand, type TrustRoots } from "@fairlead/artifacts";
import { toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import { idSchema, limits, signedCommandSchema, type Command, type ReplyMessage } from "@fairlead/protocol";
import { z } from "zod";
import type { TrustedTime } from "../link/trusted-time.ts";
import { maxSkewMs } from "../models/desired.ts";
import type { Saved } from "../models/saved.ts";
import { runCommand, type CommandHandlers, type Outcome } from "./command-handlers.ts";

/** Commands that were begun; the envelope is kept until the reply is in the outbox. */
export const inboxSchema = z.strictObject({
  v: z.literal(1),
  commands: z.array(z.strictObject({ commandId: idSchema, envelope: signedCommandSchema.nullable() })).max(256),
});
type InboxRecord = z.infer<typeof inboxSchema>;

export interface InboxOptions {
  readonly saved: Saved<InboxRecord>;
  readonly roots: TrustRoots;
  readonly tenant: string;
  readonly device: string;
  readonly time: TrustedTime;
  readonly handlers: CommandHandlers;
  readonly reply: (body: Pick<ReplyMessage, "commandId"> & Outcome) => void;
  readonly onRefused: (refusal: { readonly code: string; readonly reason: string }) => void;
  readonly logger: Logger;
}

const remembered = 256;
const timeLimit = { minMs: 30_000, maxMs: 600_000 };

/** Verifies, remembers, runs one command after the other and replies. A command runs again only after a crash. */
export class Inbox implements Service {
  readonly name = "commands";
  readonly #options: InboxOptions;
  readonly #refused = new Set<string>();
  #record: InboxRecord;
  #running: Promise<void> = Promise.resolve();
  readonly #stop = new AbortController();

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#record = options.saved.load() ?? { v: 1, commands: [] };
  }

  async start(): Promise<void> {
    for (const { envelope } of this.#record.commands) if (envelope !== null) this.#enqueue(envelope.signed);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  receive(commandId: string, payload: Uint8Array): void {
    const { roots, tenant, device, time, logger } = this.#options;
    if (this.#record.commands.some((known) => known.commandId === commandId)) return;
    const envelope = this.#parse(payload);
    const verified = verifyCommand(envelope, { roots, tenant, device, nowMs: time.nowMs(), maxSkewMs });
    if (verified.kind === "refused") return this.#refuse(commandId, verified);
    const { document } = verified;
    if (document.commandId !== commandId)
      return this.#refuse(commandId, { code: "id_mismatch", reason: "the topic names another command" });
    time.observe(document.issuedAtMs);
    try {
      this.#save([...this.#record.commands, { commandId, envelope: signedCommandSchema.parse(envelope) }]);
    } catch (error) {
      // Not remembered, not run: the plane sends it again.
      return logger.error("a command could not be noted", { commandId, reason: toErrorMessage(error) });
    }
    this.#enqueue(document);
  }

  #parse(payload: Uint8Array): unknown {
    try {
      return payload.byteLength > limits.mqttPayloadBytes ? undefined : JSON.parse(Buffer.from(payload).toString());
    } catch {
      return undefined;
    }
  }

  #refuse(commandId: string, { code, reason }: { readonly code: string; readonly reason: string }): void {
    if (this.#refused.has(commandId)) return;
    if (this.#refused.size >= remembered) this.#refused.clear();
    this.#refused.add(commandId);
    const cut = { code: code.slice(0, 64), reason: reason.slice(0, 500) };
    this.#options.logger.warn("a command was refused", { commandId, ...cut });
    this.#options.reply({ commandId, outcome: code === "expired" ? "expired" : "refused", ...cut });
    this.#options.onRefused(cut);
  }

  #save(commands: InboxRecord["commands"]): void {
    const record: InboxRecord = { v: 1, commands: commands.slice(-remembered) };
    this.#options.saved.save(record);
    this.#record = record;
  }

  #enqueue(command: Command): void {
    this.#running = this.#running
      .then(() => this.#run(command))
      .catch((error: unknown) => {
        this.#options.logger.error("a command could not be finished", { reason: toErrorMessage(error) });
      });
  }

  async #run({ commandId, action, deadlineAtMs }: Command): Promise<void> {
    const { handlers, time, reply, logger } = this.#options;
    if (this.#stop.signal.aborted) return;
    const leftMs = Math.min(Math.max(deadlineAtMs - time.nowMs(), timeLimit.minMs), timeLimit.maxMs);
    logger.info("command begun", { commandId, action: action.kind });
    const signal = AbortSignal.any([AbortSignal.timeout(leftMs), this.#stop.signal]);
    const outcome = await runCommand(handlers, action, signal);
    // A command that our own end cut short is run again after the restart.
    if (this.#stop.signal.aborted && outcome.outcome !== "done") return;
    logger.info("command ended", { commandId, action: action.kind, ...outcome });
    reply({ commandId, ...outcome });
    this.#save(
      this.#record.commands.map((known) => (known.commandId === commandId ? { commandId, envelope: null } : known)),
    );
  }
}
