import {
  generateKeyPair,
  parseSigningKey,
  signDocument,
  toCanonicalJson,
  toDigest,
  type SignableDocument,
} from "@fairlead/artifacts";
import { endlessLoopModel, mlpModel } from "@fairlead/inference/testing";
import { signedCommandSchema, type Command, type DesiredState } from "@fairlead/protocol";
import { createPrivateKey, createPublicKey, sign as signBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AgentHarness, device, toContent, toSlot } from "./agent-harness.ts";
import { MiniPlane, toId } from "./mini-plane.ts";

const dayMs = 86_400_000;

const toDesired = (plane: MiniPlane, change: Partial<DesiredState> = {}): DesiredState => ({
  type: "desired-state",
  v: 1,
  tenant: plane.tenant,
  device,
  enrolledKey: plane.toEnrolledKey(device),
  generation: 1_000,
  issuedAtMs: Date.now(),
  expiresAtMs: Date.now() + dayMs,
  slots: [],
  artifactUrls: [`${plane.url}/api/v1/artifacts/{digest}`],
  ...change,
});

/** What both kinds of order have in common. */
interface Change {
  readonly tenant?: string;
  readonly device?: string;
  readonly enrolledKey?: string;
  readonly issuedAtMs?: number;
}

/**
 * An order in every wrong hand, with the code that says what is wrong: `make` makes a good one, `over` one whose time is over.
 * No two in a row have one reason, since a device tells the same refusal once.
 */
function toForgeries(
  { plane, agent }: { readonly plane: MiniPlane; readonly agent: AgentHarness },
  make: (change: Change) => SignableDocument,
  over: SignableDocument,
): (readonly [code: string, envelope: unknown])[] {
  const planeKey = parseSigningKey(plane.signing.privateKeyPem);
  const stranger = parseSigningKey(generateKeyPair().privateKeyPem);
  const sign = (change: Change) => plane.signDocument(make(change));
  // The device's own key is of another kind, and its signature has the same length.
  const ownKey = createPrivateKey(readFileSync(join(agent.data, "identity", "device.key")));
  const ownKeyId = toDigest(createPublicKey(ownKey).export({ type: "spki", format: "der" }));
  const signAsDevice = (keyId: string) => {
    const signed = make({});
    const bytes = Buffer.from(toCanonicalJson(signed));
    const sig = signBytes("sha256", bytes, { key: ownKey, dsaEncoding: "ieee-p1363" }).toString("base64");
    return { signed, signatures: [{ keyId, sig }] };
  };
  const changed = sign({});
  return [
    ["signature_unknown_key", signDocument(make({}), stranger)],
    ["signature_invalid", signAsDevice(planeKey.keyId)],
    ["signature_unknown_key", signAsDevice(ownKeyId)],
    ["envelope_malformed", { signed: make({}), signatures: [] }],
    ["signature_invalid", { ...changed, signed: { ...changed.signed, issuedAtMs: changed.signed.issuedAtMs - 1 } }],
    ["envelope_malformed", { signed: make({}) }],
    ["foreign_tenant", sign({ tenant: "globex" })],
    ["foreign_device", sign({ device: "cam-2" })],
    ["foreign_enrolment", sign({ enrolledKey: `sha256:${"0".repeat(64)}` })],
    ["expired", plane.signDocument(over)],
    ["not_yet_valid", sign({ issuedAtMs: Date.now() + 3 * dayMs })],
    ["envelope_malformed", { hello: "world" }],
  ];
}

describe("an agent refuses", () => {
  it("A10 desired states and commands that are signed by the device's own key or a stranger's, unsigned, changed, foreign, stale, replayed, expired or malformed, each by its name, and keeps serving", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    agent.run();
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    await agent.waitForVersion("1.0.0");
    const before = plane.desiredOf(device);
    const generation = await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    const signMeasure = () => plane.signDocument(plane.toCommand(device, { kind: "measure" }));
    const past = Date.now() - 9 * dayMs;
    const desiredStates = toForgeries(
      { plane, agent },
      (change) => toDesired(plane, change),
      toDesired(plane, { issuedAtMs: past, expiresAtMs: past + 6 * dayMs }),
    );
    const stale = plane.signDocument(toDesired(plane, { generation: generation - 1 }));
    const more = [
      ["stale_generation", stale],
      ["wrong_type", signMeasure()],
      ["stale_generation", before],
    ] as const;
    for (const [expected, document] of [...desiredStates, ...more]) {
      const sentAtMs = Date.now();
      await plane.publishDesired(device, document);
      const code = await agent.waitFor(`refused: ${expected}`, () => {
        const refusal = plane.reported.at(-1)?.refusal ?? null;
        return refusal !== null && refusal.tsMs >= sentAtMs && refusal.code;
      });
      expect(code).toBe(expected);
    }
    expect(plane.reported.at(-1)?.generation).toBe(generation);

    const toMeasure = (change: object) => plane.toCommand(device, { kind: "measure" }, change);
    const commands = toForgeries(
      { plane, agent },
      toMeasure,
      toMeasure({ issuedAtMs: past, deadlineAtMs: past + 6 * dayMs }),
    );
    commands.push(["wrong_type", plane.signDocument(toDesired(plane))], ["id_mismatch", signMeasure()]);
    for (const [expected, envelope] of commands) {
      const { commandId } = (envelope as { signed?: Partial<Command> }).signed ?? {};
      const id = expected === "id_mismatch" || commandId === undefined ? toId("cmd") : commandId;
      await plane.publishCommand(device, id, envelope);
      const reply = await agent.waitFor(`refused: ${expected}`, () =>
        plane.replies.find((one) => one.commandId === id),
      );
      expect(reply).toMatchObject({ outcome: expected === "expired" ? "expired" : "refused", code: expected });
    }
    expect(agent.log).not.toContain("command begun");
    // What the plane writes into its audit log as device.refuse-command, each once.
    const told = await agent.waitFor("all of it is told", () => {
      const codes = plane.events.flatMap((event) =>
        event.kind === "refused" && event.what === "command" ? [event.code] : [],
      );
      return codes.length >= commands.length && codes;
    });
    expect(told).toEqual(commands.map(([code]) => code));

    const restart = signedCommandSchema.parse(
      plane.signDocument(plane.toCommand(device, { kind: "restart-serving", reason: "asked" })),
    );
    const isAnswered = (id: string) => () => plane.replies.find(({ commandId }) => commandId === id);
    const { commandId } = restart.signed;
    await plane.publishCommand(device, commandId, restart);
    expect(await agent.waitFor("restarted", isAnswered(commandId))).toMatchObject({ outcome: "done" });
    await plane.publishCommand(device, commandId, restart);
    const measure = await plane.command(device, { kind: "measure" });
    expect(await agent.waitFor("measured", isAnswered(measure))).toMatchObject({ outcome: "done" });
    expect(plane.replies.filter((reply) => reply.commandId === commandId)).toHaveLength(1);
    expect(agent.process.output.match(/command begun.*restart-serving/gu)).toHaveLength(1);
    await agent.waitFor("it serves again", () => agent.slot?.serving);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" } });

    const [other, active] = ["f".repeat(64), agent.slot?.active?.buildDigest.slice(7)].map((hex) => `sha256:${hex}`);
    const late = await plane.command(device, { kind: "revert", slot: "reader", buildDigest: other ?? "", reason: "" });
    await agent.waitFor("nothing to leave", () => plane.replies.find(({ commandId }) => commandId === late));
    expect(plane.replies.at(-1)).toMatchObject({ outcome: "done" });
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" } });
    const asked = { kind: "revert", slot: "reader", buildDigest: active ?? "", reason: "asked" } as const;
    const revert = await plane.command(device, asked);
    await agent.waitFor("reverted", () => plane.replies.find(({ commandId }) => commandId === revert));
    expect(plane.replies.at(-1)).toMatchObject({ outcome: "done" });
    await agent.waitFor("1.0.0 serves", () => agent.slot?.active?.version === "1.0.0" && agent.slot.serving);
    expect(await agent.accuracy(50)).toBeGreaterThan(0.7);
  });

  it("A5 builds that do not prove themselves: other tensors than the release states, another version's golden set, no fit, wrong bytes, a hang on trial", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    writeFileSync(join(agent.data, "config.yaml"), "inference:\n  deadlineMs: 800\n");
    agent.run();
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    const offer = async (content: Parameters<MiniPlane["sign"]>[0], state: string) => {
      const release = plane.sign(content);
      await plane.desire(device, [{ slot: "reader", release, rolloutId: null, attempt: 1, soakMs: 60_000 }]);
      const { releaseId } = release.signed;
      await agent.waitFor(state, () => agent.slot?.job?.releaseId === releaseId && agent.slot.job.state === state);
      expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" } });
      expect((await agent.infer(0)).status).toBe(200);
      return agent.slot?.job;
    };
    const bad = toContent(plane, "1.2.0", {
      model: "digit-reader-1.2.0-int8-miscalibrated.onnx",
      golden: "golden-1.1.0.json",
    });
    expect(await offer(bad, "rolled_back")).toMatchObject({ code: "self_test_failed", selfTest: { passed: false } });

    const [build] = bad.builds;
    const unfit = {
      ...bad,
      builds: [{ ...build!, target: { profiles: ["raspberry-pi-5"], executionProviders: ["cpu" as const] } }],
    };
    expect(await offer(unfit, "no_compatible_build")).toMatchObject({ code: "no_compatible_build" });

    const wrong = plane.addArtifact(Buffer.from("the right bytes"));
    plane.artifacts.set(wrong.digest, Buffer.from("the wrong bytes"));
    const lying = { ...bad, builds: [{ ...build!, artifact: wrong }], selfTest: { ...bad.selfTest, golden: null } };
    expect(await offer(lying, "failed")).toMatchObject({ code: "digest_mismatch" });

    const noModel = plane.addArtifact(Buffer.from("this is no model"));
    const text = { ...bad, builds: [{ ...build!, artifact: noModel }], selfTest: { ...bad.selfTest, golden: null } };
    expect(await offer(text, "rolled_back")).toMatchObject({ code: "load_failed" });

    const tensor = (name: string) => ({ name, elementType: "float32", shape: [4] });
    const swapped = plane.addArtifact(Buffer.from(mlpModel({ widths: [64, 10] })));
    const other = { ...bad, builds: [{ ...build!, artifact: swapped }], selfTest: { ...bad.selfTest, golden: null } };
    expect(await offer(other, "rolled_back")).toMatchObject({
      code: "load_failed",
      reason: expect.stringMatching(/states the inputs "image" float32, but the file has "x" float32/u),
    });

    const endless = plane.addArtifact(Buffer.from(endlessLoopModel()));
    const hang = {
      ...bad,
      version: "1.3.0",
      classification: null,
      builds: [{ ...build!, artifact: endless, inputs: [tensor("x")], outputs: [tensor("y")] }],
      selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
    };
    const release = plane.sign(hang);
    await plane.desire(device, [{ slot: "reader", release, rolloutId: null, attempt: 1, soakMs: 60_000 }]);
    await agent.waitFor("on trial", () => agent.slot?.job?.state === "soaking");
    await agent.process.kill("SIGKILL");
    const before = plane.reported.length;
    agent.run();
    await agent.waitFor("it reports again", () => plane.reported.length > before);
    await agent.waitFor(
      "the trial goes on after a restart",
      () => agent.slot?.job?.state === "soaking" && agent.slot.serving,
    );
    agent.ask([{ name: "x", datatype: "FP32", shape: [4], data: [1, 2, 3, 4] }]).catch(() => undefined);
    await agent.waitFor(
      "the hang is found, back",
      () => agent.slot?.job?.state === "rolled_back" && agent.slot.serving,
    );
    expect(agent.slot?.job).toMatchObject({ code: "hang" });
    await agent.waitFor("the event", () => plane.events.some(({ kind }) => kind === "reverted"));
    await plane.desire(device, [toSlot(plane, "1.1.0", { attempt: 2 })]);
    await agent.waitFor(
      "the old wish again",
      () => agent.slot?.job?.state === "already_installed" && agent.slot.serving,
    );
    expect(await agent.accuracy(50)).toBeGreaterThan(0.9);
  });
});
