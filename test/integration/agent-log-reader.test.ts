import { expect, it } from "vitest";
import { AgentHarness } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

it("an agent whose log nobody reads any more runs on, and ends well when it is asked to", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  agent.run();
  await agent.waitFor("it runs", () => agent.log.includes("the agent runs"));
  agent.process.child.stderr?.destroy();
  // It logs that it ends, into nothing.
  agent.process.child.kill("SIGTERM");
  expect(await agent.process.exited()).toBe(0);
}, 60_000);
