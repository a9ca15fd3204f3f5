import { verifyCommand, type TrustRoots } from "@fairlead/artifacts";
import { toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import { limits, signedCommandSchema, type Command, type ReplyMessage } from "@fairlead/protocol";
import type { TrustedTime } from "../link/trusted-time.ts";
import { maxSkewMs } from "../models/desired.ts";
import type { Saved } from "../models/saved.ts";
import { runCommand, type CommandHandlers, type Outcome } from "./command-handlers.ts";
import { admitCommand, emptyInbox, endCommand, toHighestGeneration, type InboxRecord } from "./inbox-record.ts";

export interface InboxOptions {
  readonly saved: Saved<InboxRecord>;
  readonly roots: TrustRoots;
  readonly tenant: string;
  readonly device: string;
  /** Which enrolment of that name this is. */
  readonly enrolledKey: string;
  readonly time: TrustedTime;
  readonly handlers: CommandHandlers;
  readonly reply: (body: Pick<ReplyMessage, "commandId"> & Outcome) => void;
  readonly onRefused: (refusal: { readonly code: string; readonly reason: string }) => void;
  readonly logger: Logger;
}

const rememberedRefusals = 256;
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
    this.#record = options.saved.load() ?? emptyInbox;
  }

  /** The highest generation of a command that was ever admitted here; 0: none. */
  get generation(): number {
    return toHighestGeneration(this.#record);
  }

  async start(): Promise<void> {
    for (const { envelope } of this.#record.commands) if (envelope !== null) this.#enqueue(envelope.signed);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  receive(commandId: string, payload: Uint8Array): void {
    const { roots, tenant, device, enrolledKey, time, logger } = this.#options;
    if (this.#record.commands.some((known) => known.commandId === commandId)) return;
    const envelope = this.#parse(payload);
    const verified = verifyCommand(envelope, { roots, tenant, device, enrolledKey, nowMs: time.nowMs(), maxSkewMs });
    if (verified.kind === "refused") return this.#refuse(commandId, verified);
    const { document } = verified;
    if (document.commandId !== commandId)
      return this.#refuse(commandId, { code: "id_mismatch", reason: "the topic names another command" });
    time.observe(document.issuedAtMs);
    const admittance = admitCommand(this.#record, signedCommandSchema.parse(envelope));
    switch (admittance.kind) {
      case "known":
        return;
      case "stale":
        return this.#refuse(commandId, { code: "stale_command", reason: admittance.reason });
      case "full":
        // Not remembered, not run: the plane sends it again.
        return logger.warn("a command has to wait for those before it", { commandId });
      case "admitted":
        try {
          this.#save(admittance.record);
        } catch (error) {
          // The same: without a memory of it, it might be carried out twice.
          return logger.error("a command could not be noted", { commandId, reason: toErrorMessage(error) });
        }
        return this.#enqueue(document);
    }
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
    if (this.#refused.size >= rememberedRefusals) this.#refused.clear();
    this.#refused.add(commandId);
    const cut = { code: code.slice(0, 64), reason: reason.slice(0, 500) };
    this.#options.logger.warn("a command was refused", { commandId, ...cut });
    this.#options.reply({ commandId, outcome: code === "expired" ? "expired" : "refused", ...cut });
    this.#options.onRefused(cut);
  }

  #save(record: InboxRecord): void {
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
    if (outcome.outcome === "refused")
      this.#options.onRefused({ code: outcome.code ?? "refused", reason: outcome.reason ?? "" });
    this.#save(endCommand(this.#record, commandId));
  }
}
