import { createTrustRoots, generateKeyPair, parseSigningKey, signDocument } from "@fairlead/artifacts";
import { silentLogger } from "@fairlead/kernel";
import { toPayload, type Command, type CommandAction } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { createTrustedTime } from "../link/trusted-time.ts";
import type { CommandHandlers, Outcome } from "./command-handlers.ts";
import { Inbox } from "./inbox.ts";
import type { InboxRecord } from "./inbox-record.ts";

const nowMs = 1_800_000_000_000;
const keys = generateKeyPair();
const enrolledKey = `sha256:${"e".repeat(64)}`;
const toId = (letter: string) => `cmd-${letter.repeat(26)}`;

function createHarness() {
  let state: InboxRecord | undefined;
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
      enrolledKey,
      time: createTrustedTime({ nowMs: () => nowMs, monotonicMs: () => 0 }),
      handlers,
      reply: (body) => void replies.push(body),
      onRefused: ({ code }) => void refused.push(code),
      logger: silentLogger,
    });
  return { open, replies, ran, refused, gate };
}

function toCommand(
  commandId: string,
  action: CommandAction,
  { key = keys, ...change }: Partial<Command> & { readonly key?: typeof keys } = {},
): Uint8Array {
  const command: Command = {
    type: "command",
    v: 1,
    tenant: "acme",
    device: "cam-1",
    enrolledKey,
    commandId,
    generation: 1,
    issuedAtMs: nowMs,
    deadlineAtMs: nowMs + 60_000,
    action,
    ...change,
  };
  return toPayload(signDocument(command, parseSigningKey(key.privateKeyPem)));
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

  const day = 86_400_000;
  const measure = { kind: "measure" } as const;
  const wish = { ...measure, type: "desired-state" };
  const rewrite = (change: (envelope: { signed: object; signatures: object[] }) => unknown): Uint8Array =>
    toPayload(change(JSON.parse(Buffer.from(toCommand(toId("a"), measure)).toString())));
  it.each([
    ["expired", toCommand(toId("a"), measure, { issuedAtMs: nowMs - 9 * day, deadlineAtMs: nowMs - 8 * day })],
    ["not_yet_valid", toCommand(toId("a"), measure, { issuedAtMs: nowMs + 3 * day, deadlineAtMs: nowMs + 4 * day })],
    ["foreign_tenant", toCommand(toId("a"), measure, { tenant: "globex" })],
    ["foreign_device", toCommand(toId("a"), measure, { device: "cam-2" })],
    ["foreign_enrolment", toCommand(toId("a"), measure, { enrolledKey: `sha256:${"f".repeat(64)}` })],
    ["id_mismatch", toCommand(toId("b"), measure)],
    ["signature_unknown_key", toCommand(toId("a"), measure, { key: generateKeyPair() })],
    ["signature_invalid", rewrite(({ signed, ...rest }) => ({ ...rest, signed: { ...signed, generation: 2 } }))],
    ["envelope_malformed", rewrite(({ signed }) => ({ signed, signatures: [] }))],
    ["envelope_malformed", rewrite(({ signed }) => ({ signed }))],
    ["envelope_malformed", Buffer.from("no JSON")],
    ["wrong_type", rewrite((envelope) => ({ ...envelope, signed: { ...envelope.signed, ...wish } }))],
  ])("A10 refuses with %s, says so once and runs nothing (%#)", async (code, payload) => {
    const { open, replies, ran, refused } = createHarness();
    const inbox = open();
    for (let count = 0; count < 2; count += 1) inbox.receive(toId("a"), payload);
    await inbox.stop();
    expect(ran).toEqual([]);
    expect(replies.map((reply) => [reply.outcome, reply.code])).toEqual([
      [code === "expired" ? "expired" : "refused", code],
    ]);
    expect(refused).toEqual([code]);
    expect(inbox.generation).toBe(0);
  });

  it("A10 refuses a command that is still in its time when it has forgotten its id", async () => {
    const { open, replies, ran, refused } = createHarness();
    const inbox = open();
    const first = toCommand(toId("a"), measure);
    inbox.receive(toId("a"), first);
    const toNthId = (count: number) => `cmd-${String(count).padStart(26, "0")}`;
    for (let generation = 2; generation <= 257; generation += 1)
      inbox.receive(toNthId(generation), toCommand(toNthId(generation), measure, { generation }));
    // Nothing ended yet, so the last one finds no room and has to come again.
    await expect.poll(() => replies.length).toBe(256);
    inbox.receive(toNthId(257), toCommand(toNthId(257), measure, { generation: 257 }));
    await expect.poll(() => replies.length).toBe(257);
    expect(refused).toEqual([]);
    const later = open();
    expect(later.generation).toBe(257);
    later.receive(toId("a"), first);
    later.receive(toNthId(2), toCommand(toNthId(2), measure, { generation: 2 }));
    await later.stop();
    expect(ran).toHaveLength(257);
    expect(refused).toEqual(["stale_command"]);
    expect(replies.at(-1)).toMatchObject({ commandId: toId("a"), outcome: "refused", code: "stale_command" });
  });
});
