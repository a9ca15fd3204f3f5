import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toShiftedClock, whyNoShiftedClock } from "../support/shifted-clock.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const dayMs = 86_400_000;
const configure = (agent: AgentHarness, trust: object) =>
  writeFileSync(join(agent.data, "config.yaml"), JSON.stringify({ trust }));

describe("an agent that nobody tells what is newest", () => {
  it("stops serving when its policy says so, with the reason, and serves again when it is told", async () => {
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    await agent.enrol();
    configure(agent, { maxStaleServeMs: 1_000, refreshMs: 1_000 });
    agent.run();
    await plane.desire(device, [toSlot(plane, "1.1.0")]);
    await agent.waitForVersion("1.1.0");
    expect(plane.births.at(-1)?.inventory).toMatchObject({ "trust.maxStaleServeMs": 1_000, "trust.onStale": "stop" });
    plane.trust.timestampLifeMs = 1_000;
    plane.trust.renew();
    const held = await agent.waitFor("it does not serve any more", () => agent.slot?.serving === false && agent.slot);
    expect(held.notServingReason).toContain("trust.maxStaleServeMs");
    expect(held.active?.version).toBe("1.1.0");
    expect(await agent.infer(0)).toMatchObject({ status: 503, text: expect.stringContaining("maxStaleServeMs") });
    const states = () => plane.events.flatMap((event) => (event.kind === "freshness" ? [event.state] : []));
    await agent.waitFor("it says so", () => states().includes("overdue"));
    plane.trust.timestampLifeMs = dayMs;
    plane.trust.renew();
    await agent.waitFor("it serves again", () => agent.slot?.serving);
    expect(await agent.accuracy(20)).toBeGreaterThan(0.5);
    await agent.waitFor("it says that too", () => states().at(-1) === "fresh");
  });

  it.skipIf(whyNoShiftedClock() !== undefined)(
    `judges the policy before anything is served after a start, by the clock it then has${whyNoShiftedClock() ?? ""}`,
    async () => {
      const plane = await MiniPlane.start();
      await using _plane = plane;
      await using agent = new AgentHarness(plane);
      await agent.enrol();
      agent.run();
      await plane.desire(device, [toSlot(plane, "1.1.0")]);
      await agent.waitForVersion("1.1.0");
      await agent.process.kill();
      await plane.close();
      const serves = (text: string) =>
        agent.waitFor(text, async () => {
          try {
            return (await agent.infer(0)).status === 200;
          } catch {
            return false;
          }
        });
      // A serving process that was never given the model does not know its name.
      const refuses = () =>
        agent.waitFor("the endpoint answers, and no model", async () => {
          try {
            return [404, 503].includes((await agent.infer(0)).status);
          } catch {
            return false;
          }
        });
      // The statement lives four days: at the fortieth it has ended for longer than thirty.
      configure(agent, { maxStaleServeMs: 30 * dayMs });
      agent.run(toShiftedClock("+33d"));
      await serves("thirty-three days on it serves");
      await agent.process.kill();
      agent.run(toShiftedClock("+40d"));
      await agent.waitFor("forty days on it does not", () => agent.log.includes("trust.maxStaleServeMs ago"));
      for (let count = 0; count < 10; count += 1) await refuses();
      await agent.process.kill();
      configure(agent, { maxStaleServeMs: 30 * dayMs, onStale: "alarm" });
      agent.run(toShiftedClock("+40d"));
      await serves("with an alarm alone it does");
      expect(agent.log).toContain("overdue");
    },
    90_000,
  );
});
