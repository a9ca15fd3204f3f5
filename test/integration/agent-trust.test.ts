import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Release } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { toAnotherId } from "../support/another-id.ts";
import { AgentHarness, device, toContent, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const content = (plane: MiniPlane) =>
  toContent(plane, "1.1.0", { model: "digit-reader-1.1.0-int8.onnx", golden: "golden-1.1.0.json" });

async function start(plane: MiniPlane, agent: AgentHarness): Promise<void> {
  await agent.enrol();
  agent.run();
  await plane.desire(device, [toSlot(plane, "1.0.0")]);
  await agent.waitForVersion("1.0.0");
}

/** Of the timestamp that the device keeps. */
function readVersion(agent: AgentHarness): number {
  const text = readFileSync(join(agent.data, "state", "trust", "timestamp.json"), "utf8");
  return (JSON.parse(text) as { signed: { version: number } }).signed.version;
}

function waitForRefusal(plane: MiniPlane, agent: AgentHarness, text: string): Promise<unknown> {
  return agent.waitFor(`refused: ${text}`, () => {
    const refusal = plane.reported.at(-1)?.refusal;
    return refusal?.code === "release_invalid" && refusal.reason.includes(text);
  });
}

describe("an agent whose plane is in an attacker's hands", () => {
  it("A10 runs no release that no publisher vouches for, and none of a revoked publisher, and keeps what it has", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    const slot = toSlot(plane, "1.0.0");
    const vouched = plane.sign(content(plane));
    const changed = { signed: { ...vouched.signed, expiresAtMs: vouched.signed.expiresAtMs + 1 } };
    await plane.desire(device, [{ ...slot, release: changed }]);
    await waitForRefusal(plane, agent, "target_mismatch");
    const invented = { signed: { ...vouched.signed, releaseId: toAnotherId(vouched.signed.releaseId) } };
    await plane.desire(device, [{ ...slot, release: invented }]);
    await waitForRefusal(plane, agent, "target_unknown");
    const served = plane.served;
    plane.trust.revoke();
    await plane.desire(device, [{ ...slot, release: plane.sign(content(plane)) }]);
    await agent.waitFor("the revoked publisher", () => plane.reported.at(-1)?.refusal?.reason.includes("no publisher"));
    expect(plane.served).toBe(served);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.0.0" } });
    expect(await agent.accuracy(20)).toBeGreaterThan(0.5);
    await agent.process.kill();
    agent.run();
    await agent.waitForVersion("1.0.0");
  });

  it("A10 goes back to nothing of a revoked publisher, on command, in another slot or while newer metadata is held back", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    const old = toSlot(plane, "1.0.0");
    const current = toSlot(plane, "1.1.0");
    await plane.desire(device, [current]);
    await agent.waitForVersion("1.1.0");
    const revert = async () => {
      const buildDigest = current.release?.signed.content.builds[0]?.artifact.digest ?? "";
      const id = await plane.command(device, { kind: "revert", slot: "reader", buildDigest, reason: "asked" });
      return await agent.waitFor("an answer", () => plane.replies.find(({ commandId }) => commandId === id));
    };
    plane.trust.revoke();
    const refused = { outcome: "refused", code: "release_invalid", reason: expect.stringContaining("target_unknown") };
    expect(await revert()).toMatchObject(refused);
    // The answer that the device has is fresh: to hold back newer ones gains nothing.
    plane.isTrustDown = true;
    expect(await revert()).toMatchObject(refused);
    plane.isTrustDown = false;
    await agent.waitFor("it is told", () =>
      plane.events.some(
        (event) => event.kind === "refused" && event.what === "command" && event.code === "release_invalid",
      ),
    );
    // The very release that one slot follows is something new in another one, as is what the slot followed before.
    for (const [index, slots] of [[current, { ...current, slot: "second" }], [old]].entries()) {
      await plane.desire(device, slots);
      await agent.waitFor("the order is refused", () => {
        const told = plane.events.filter((event) => event.kind === "refused" && event.what === "desired-state");
        return told.length === index + 1;
      });
    }
    expect(plane.reported.at(-1)?.refusal?.reason).toContain("target_unknown");
    expect(plane.reported.at(-1)?.slots.map(({ slot }) => slot)).toEqual(["reader"]);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" }, previous: { version: "1.0.0" } });
  });

  it("goes back on command while the metadata cannot be reached, or says nothing fresh any more", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    const goBack = async (version: "1.0.0" | "1.1.0") => {
      const active = agent.slot?.active?.buildDigest ?? "";
      await plane.command(device, { kind: "revert", slot: "reader", buildDigest: active, reason: "asked" });
      await agent.waitFor(`${version} serves`, () => agent.slot?.active?.version === version && agent.slot.serving);
    };
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    plane.isTrustDown = true;
    await goBack("1.0.0");
    plane.isTrustDown = false;
    await plane.desire(device, [toSlot(plane, "1.1.0", { attempt: 2 })]);
    await agent.waitForVersion("1.1.0");
    plane.trust.timestampLifeMs = -1_000;
    plane.trust.renew();
    await goBack("1.0.0");
  });

  it("A5 refuses a release for another fleet before it fetches a byte", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    const served = plane.served;
    const release = plane.sign(content(plane), { audience: { fleets: ["south"] } });
    await plane.desire(device, [{ ...toSlot(plane, "1.0.0"), release }]);
    await waitForRefusal(plane, agent, "foreign_audience");
    expect(plane.served).toBe(served);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.0.0" } });
  });
});

describe("an agent that is asked to run a release out of its time", () => {
  it("A5 refuses before it fetches a byte what is not valid yet, is over, needs other firmware, is for another device class or tenant, and serves on", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    agent.run();
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    // Another version, so that its bytes are not here yet.
    const other = toContent(plane, "1.0.0", { model: "digit-reader-1.0.0-int8.onnx", golden: "golden-1.0.0.json" });
    const served = plane.served;
    const [nowMs, dayMs] = [Date.now(), 86_400_000];
    const refused: readonly (readonly [Partial<Release>, string])[] = [
      [{ notBeforeMs: nowMs + 3_600_000 }, "not_yet_valid"],
      [{ issuedAtMs: nowMs - 9 * dayMs, expiresAtMs: nowMs - 2 * dayMs }, "expired"],
      [{ audience: { firmware: { "os.kernel": "999" } } }, "os.kernel 999"],
      [{ audience: { profiles: ["raspberry-pi-5"] } }, "for raspberry-pi-5"],
      [{ audience: { minAgentVersion: "99.0.0" } }, "agent 99.0.0"],
      [{ tenant: "globex" }, "foreign_tenant"],
    ];
    for (const [more, text] of refused) {
      await plane.desire(device, [{ ...toSlot(plane, "1.0.0"), release: plane.sign(other, more) }]);
      await waitForRefusal(plane, agent, text);
    }
    expect(plane.served).toBe(served);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" } });
  });

  it("keeps what runs when its release has ended, over a restart, and still follows for another slot", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    agent.run();
    // Devices allow 26 hours for their clock: this one ends while the test runs.
    const life = { issuedAtMs: Date.now() - 10 * 86_400_000, expiresAtMs: Date.now() - 26 * 3_600_000 + 15_000 };
    const brief = { ...toSlot(plane, "1.0.0"), release: plane.sign(content(plane), life) };
    await plane.desire(device, [brief]);
    await agent.waitForVersion("1.1.0");
    await agent.waitFor("its time is over", () => Date.now() > life.expiresAtMs + 26 * 3_600_000);
    await agent.process.kill();
    agent.run();
    await agent.waitForVersion("1.1.0");
    const generation = await plane.desire(device, [brief, { ...toSlot(plane, "1.1.0"), slot: "second" }]);
    await agent.waitFor("the other slot is followed", () => plane.reported.at(-1)?.generation === generation);
    await agent.process.kill();
    agent.run();
    await agent.waitFor("both serve after another restart", () =>
      ["reader", "second"].every((name) => plane.reported.at(-1)?.slots.find(({ slot }) => slot === name)?.serving),
    );
  });
});

describe("an agent that is held back", () => {
  it("A1 takes nothing of yesterday's documents, reports it, serves on, and goes on with the newest", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    const yesterday = await plane.trust.serve();
    plane.trust.renew();
    await plane.desire(device, [toSlot(plane, "1.0.0", { attempt: 2 })]);
    await agent.waitForVersion("1.0.0");
    await agent.waitFor("the newest documents are kept", () => readVersion(agent) > 1);
    const served = plane.served;
    for (const [name, text] of yesterday) plane.trust.forged.set(name, text);
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await waitForRefusal(plane, agent, "metadata_rollback");
    expect(plane.served).toBe(served);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.0.0" } });
    plane.trust.forged.clear();
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
  });

  it("A2 takes nothing new once the statement of freshness has ended, serves on, and goes on when it is renewed", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    plane.trust.timestampLifeMs = -1_000;
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await waitForRefusal(plane, agent, "metadata_expired");
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.0.0" } });
    plane.trust.timestampLifeMs = 86_400_000;
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
  });

  it("asks again while nobody answers for the metadata, and then follows", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await start(plane, agent);
    plane.isTrustDown = true;
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitFor("the question stays open", () => agent.log.includes("not known yet"));
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.0.0" } });
    plane.isTrustDown = false;
    await agent.waitForVersion("1.1.0");
  });
});
