import { createTrustRoots, generateKeyPair, parseSigningKey, signDocument } from "@fairlead/artifacts";
import { silentLogger } from "@fairlead/kernel";
import { toPayload, type Command, type CommandAction } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import type { z } from "zod";
import { createTrustedTime } from "../link/trusted-time.ts";
import type { CommandHandlers, Outcome } from "./command-handlers.ts";
import { Inbox, type inboxSchema } from "./inbox.ts";

const nowMs = 1_800_000_000_000;
const keys = generateKeyPair();
const toId = (letter: string) => `cmd-${letter.repeat(26)}`;

function createHarness() {
  let state: z.infer<typeof inboxSchema> | undefined;
  const replies: ({ commandId: string } & Outcome)[] = [];
  const ran: CommandAction["kind"][] = [];
  const refused: string[] = [];
  const gate = Promise.withResolvers<void>();
  const run = async (action: CommandAction): Promise<Outcome> => {
    ran.push(action.kind);
    if (action.kind === "restart-serving") await gate.promise;
    return { outcome: "done", code: null, reason: null };
  };
  const handlers: CommandHandlers = {
    "stop-serving": run,
    "repair-artifact": run,
    measure: run,
    revert: run,
    decommission: run,
    "restart-serving": run,
  };
  const open = () =>
    new Inbox({
      saved: { load: () => state, save: (next) => void (state = structuredClone(next)) },
      roots: createTrustRoots([{ publicKeyPem: keys.publicKeyPem, types: ["command"] }]),
      tenant: "acme",
      device: "cam-1",
      time: createTrustedTime({ nowMs: () => nowMs, monotonicMs: () => 0 }),
      handlers,
      reply: (body) => void replies.push(body),
      onRefused: ({ code }) => void refused.push(code),
      logger: silentLogger,
    });
  return { open, replies, ran, refused, gate };
}

function toCommand(commandId: string, action: CommandAction, change: Partial<Command> = {}): Uint8Array {
  const command: Command = {
    type: "command",
    v: 1,
    tenant: "acme",
    device: "cam-1",
    commandId,
    issuedAtMs: nowMs,
    deadlineAtMs: nowMs + 60_000,
    action,
    ...change,
  };
  return toPayload(signDocument(command, parseSigningKey(keys.privateKeyPem)));
}

describe("the command inbox", () => {
  it("runs a command once, however often it comes", async () => {
    const { open, replies, ran } = createHarness();
    const inbox = open();
    for (let count = 0; count < 3; count += 1) inbox.receive(toId("a"), toCommand(toId("a"), { kind: "measure" }));
    await expect.poll(() => replies.length).toBe(1);
    expect(ran).toEqual(["measure"]);
    const later = open();
    await later.start();
    later.receive(toId("a"), toCommand(toId("a"), { kind: "measure" }));
    await later.stop();
    expect(ran).toEqual(["measure"]);
    expect(replies).toEqual([{ commandId: toId("a"), outcome: "done", code: null, reason: null }]);
  });

  it("runs again after a restart what had not ended, and nothing else", async () => {
    const { open, replies, ran, gate } = createHarness();
    const first = open();
    first.receive(toId("a"), toCommand(toId("a"), { kind: "measure" }));
    first.receive(toId("b"), toCommand(toId("b"), { kind: "restart-serving", reason: "" }));
    await expect.poll(() => ran).toEqual(["measure", "restart-serving"]);
    const second = open();
    await second.start();
    await expect.poll(() => ran).toEqual(["measure", "restart-serving", "restart-serving"]);
    gate.resolve();
    await expect.poll(() => replies.some(({ commandId }) => commandId === toId("b"))).toBe(true);
    expect(replies.filter(({ commandId }) => commandId === toId("a"))).toHaveLength(1);
  });

  it("refuses what is foreign, expired, misnamed or malformed, and says so once", async () => {
    const { open, replies, ran, refused } = createHarness();
    const inbox = open();
    const day = 86_400_000;
    const measure = { kind: "measure" } as const;
    const old = { issuedAtMs: nowMs - 9 * day, deadlineAtMs: nowMs - 8 * day };
    inbox.receive(toId("a"), toCommand(toId("a"), measure, { device: "cam-2" }));
    inbox.receive(toId("a"), toCommand(toId("a"), measure, { device: "cam-2" }));
    inbox.receive(toId("b"), toCommand(toId("b"), measure, old));
    inbox.receive(toId("c"), toCommand(toId("d"), measure));
    inbox.receive(toId("e"), Buffer.from("no JSON"));
    await inbox.stop();
    expect(ran).toEqual([]);
    expect(replies.map(({ outcome, code }) => [outcome, code])).toEqual([
      ["refused", "foreign_device"],
      ["expired", "expired"],
      ["refused", "id_mismatch"],
      ["refused", "envelope_malformed"],
    ]);
    expect(refused).toHaveLength(4);
  });
});
