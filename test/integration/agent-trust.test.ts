import { describe, expect, it } from "vitest";
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
    const invented = { signed: { ...vouched.signed, releaseId: `${vouched.signed.releaseId.slice(0, -1)}0` } };
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

describe("an agent that is held back", () => {
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
