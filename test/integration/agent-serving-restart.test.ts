import { expect, it } from "vitest";
import { killNow, readChildren } from "../support/child-of.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

it("an installed model is never unknown while the serving process starts anew", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  await plane.desire(device, [toSlot(plane, "1.1.0")]);
  agent.run();
  await agent.waitForVersion("1.1.0");
  for (let round = 0; round < 3; round += 1) {
    readChildren(agent.process.pid).forEach(killNow);
    const statuses = new Set<number>();
    await agent.waitFor("it serves again", async () => {
      const { status } = await agent.infer(0).catch(() => ({ status: 0 }));
      statuses.add(status);
      return status === 200 && statuses.size > 1;
    });
    expect([...statuses].filter((status) => ![0, 200, 503].includes(status))).toEqual([]);
  }
}, 90_000);
