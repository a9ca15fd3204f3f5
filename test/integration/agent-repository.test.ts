import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

it("unloads and loads the assigned build for a client on the device, reports it, and lets no client start what the plane stopped", async () => {
  await using plane = await MiniPlane.start();
  await using agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  mkdirSync(agent.data, { recursive: true });
  writeFileSync(join(agent.data, "config.yaml"), "inference: { repository: allow }\n");
  await plane.desire(device, [toSlot(plane, "1.0.0")]);
  agent.run();
  await agent.waitForVersion("1.0.0");

  const post = async (path: string, body = "{}") => {
    const answer = await fetch(`${agent.endpoint}/v2/repository/${path}`, {
      method: "POST",
      body,
      signal: AbortSignal.timeout(20_000),
    });
    return { status: answer.status, text: await answer.text() };
  };
  const load = { on: true };
  const statuses: number[] = [];
  const clients = Array.from({ length: 3 }, async (_, client) => {
    for (let index = client; load.on; index += 3) statuses.push((await agent.infer(index)).status);
  });
  await eventually("there is load", () => statuses.length > 20);
  expect(await post("models/digit-reader/unload")).toEqual({ status: 200, text: "{}" });
  const refused = await agent.infer(0);
  expect(refused.status).toBe(503);
  expect(refused.text).toContain("unloaded by a client on the device");
  expect(JSON.parse((await post("index")).text)).toEqual([
    { name: "digit-reader", version: "1.0.0", state: "UNAVAILABLE", reason: "unloaded by a client on the device" },
  ]);
  expect((await post("index", JSON.stringify({ ready: true }))).text).toBe("[]");
  await agent.waitFor("the plane is told", () => agent.slot?.serving === false);
  expect(agent.slot).toMatchObject({
    active: { version: "1.0.0" },
    notServingReason: "unloaded by a client on the device",
  });
  expect(await post("models/digit-reader/load")).toEqual({ status: 200, text: "{}" });
  load.on = false;
  await Promise.all(clients);
  // Runs in progress ended where they were; what came after the unload was told so.
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  expect((await agent.infer(0)).status).toBe(200);
  await agent.waitFor("the plane is told again", () => agent.slot?.serving === true);

  expect(await post("models/other/load")).toMatchObject({ status: 400 });
  expect((await post("models/other/load")).text).toContain("no slot of this device is assigned 'other'");

  expect((await post("models/digit-reader/unload")).status).toBe(200);
  await agent.process.kill("SIGKILL");
  agent.run();
  await eventually("a start of the agent forgets it", async () => (await agent.infer(0)).status === 200);

  const stop = await plane.command(device, { kind: "stop-serving", slot: "reader", reason: "integrity" });
  await agent.waitFor("the stop is done", () => plane.replies.find((reply) => reply.commandId === stop));
  const denied = await post("models/digit-reader/load");
  expect(denied.status).toBe(400);
  expect(denied.text).toContain("stopped by the control plane: integrity");
  expect((await agent.infer(0)).status).toBe(503);
});
