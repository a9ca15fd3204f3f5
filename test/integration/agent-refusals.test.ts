import { generateKeyPair, parseSigningKey, signDocument, toCanonicalJson, toDigest } from "@fairlead/artifacts";
import { endlessLoopModel, mlpModel } from "@fairlead/inference/testing";
import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AgentHarness, device, toContent, toSlot } from "./agent-harness.ts";
import { MiniPlane, toId } from "./mini-plane.ts";

const toDocument = (plane: MiniPlane, change: object) => ({
  type: "desired-state" as const,
  v: 1 as const,
  tenant: plane.tenant,
  device,
  enrolledKey: plane.toEnrolledKey(device),
  generation: 1_000,
  issuedAtMs: Date.now(),
  expiresAtMs: Date.now() + 86_400_000,
  slots: [],
  artifactUrls: [`${plane.url}/api/v1/artifacts/{digest}`],
  ...change,
});

describe("an agent refuses", () => {
  it("A10 desired states and commands that are signed by the device's own key, unsigned, foreign, stale, expired or malformed, and keeps serving", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    agent.run();
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    await agent.waitForVersion("1.0.0");
    const generation = await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    const own = parseSigningKey(plane.signing.privateKeyPem);
    const foreign = parseSigningKey(generateKeyPair().privateKeyPem);
    const dayMs = 86_400_000;
    const cases: (readonly [string, unknown])[] = [
      ["signature_missing", signDocument(toDocument(plane, {}), foreign)],
      ["foreign_device", signDocument(toDocument(plane, { device: "cam-2" }), own)],
      ["foreign_tenant", signDocument(toDocument(plane, { tenant: "globex" }), own)],
      ["stale_generation", signDocument(toDocument(plane, { generation: generation - 1 }), own)],
      [
        "expired",
        signDocument(
          toDocument(plane, { issuedAtMs: Date.now() - 9 * dayMs, expiresAtMs: Date.now() - 3 * dayMs }),
          own,
        ),
      ],
      ["not_yet_valid", signDocument(toDocument(plane, { issuedAtMs: Date.now() + 3 * dayMs }), own)],
      ["envelope_malformed", { hello: "world" }],
    ];
    // The device's own key is of another kind, and its signature has the same length.
    const ownKey = createPrivateKey(readFileSync(join(agent.data, "identity", "device.key")));
    const wish = toDocument(plane, {});
    const sig = sign("sha256", Buffer.from(toCanonicalJson(wish)), { key: ownKey, dsaEncoding: "ieee-p1363" });
    for (const keyId of [toDigest(createPublicKey(ownKey).export({ type: "spki", format: "der" })), own.keyId])
      cases.push([
        `signature_${keyId === own.keyId ? "invalid" : "missing"}`,
        { signed: wish, signatures: [{ keyId, sig: sig.toString("base64") }] },
      ]);
    for (const [expected, document] of cases) {
      const before = plane.reported.length;
      await plane.publishDesired(device, document);
      const code = await agent.waitFor(`refused: ${expected}`, () => {
        const refusal = plane.reported.slice(before).find((report) => report.refusal !== null)?.refusal;
        return refusal?.code;
      });
      if (expected === "signature_missing") expect(code).toMatch(/signature|key/u);
      else expect(code).toBe(expected);
    }
    expect(plane.reported.at(-1)?.generation).toBe(generation);
    const bad = toId("cmd");
    await plane.publishCommand(device, bad, { nothing: true });
    await agent.waitFor("the refusal", () => plane.replies.find(({ commandId }) => commandId === bad));
    expect(plane.replies.at(-1)).toMatchObject({ outcome: "refused", code: "envelope_malformed" });
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
    const restart = await plane.command(device, { kind: "restart-serving", reason: "asked" });
    await agent.waitFor("restarted", () => plane.replies.find(({ commandId }) => commandId === restart));
    await agent.waitFor("it serves again", () => agent.slot?.active?.version === "1.0.0" && agent.slot.serving);
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
