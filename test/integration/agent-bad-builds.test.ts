import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { endlessLoopModel, hungryModel, squareRootModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { readChildren } from "../support/child-of.ts";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toModelSlot, toSlot, type ModelSlotOptions } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const reader = { slot: "reader", model: "digit-reader" } as const;
const loopEdges = {
  inputs: [["x", "float32", [4]]],
  outputs: [["y", "float32", [4]]],
} satisfies Partial<ModelSlotOptions>;
const four = (data: readonly number[]) => [{ name: "x", datatype: "FP32", shape: [4], data }];

async function open(plane: MiniPlane, inference: string): Promise<AgentHarness> {
  const agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  writeFileSync(join(agent.data, "config.yaml"), `inference: { ${inference} }\n`);
  await plane.desire(device, [toSlot(plane, "1.1.0")]);
  agent.run();
  await agent.waitForVersion("1.1.0");
  return agent;
}

const waitForTrial = (agent: AgentHarness) =>
  agent.waitFor("the new build is on trial", () => agent.slot?.job?.state === "soaking" && agent.slot.serving);
const isOldBack = (agent: AgentHarness) =>
  eventually("the build before it serves", async () => (await agent.infer(0)).status === 200);
const readSlot = async (agent: AgentHarness) => {
  const { slots } = JSON.parse((await agent.command("status", "--json")).output) as {
    slots: { active: string; previous: string | null; job: { state: string; code: string | null } | null }[];
  };
  return slots[0];
};

describe("a build that turns out bad on a device", () => {
  it("goes back by itself when it hangs on trial with no network, and the plane hears of it when there is one again", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await open(plane, "deadlineMs: 800");
    await plane.desire(device, [toModelSlot(plane, endlessLoopModel(), { ...reader, ...loopEdges })]);
    await waitForTrial(agent);
    expect((await agent.infer(0)).status).toBe(400);
    await plane.close();
    agent.ask(four([1, 2, 3, 4])).catch(() => undefined);
    await isOldBack(agent);
    expect(await agent.accuracy(50)).toBeGreaterThan(0.9);
    expect(await readSlot(agent)).toMatchObject({
      ...{ active: "digit-reader 1.1.0", job: { state: "rolled_back", code: "hang" } },
    });
    await plane.open();
    await agent.waitFor("the job's end is reported", () => agent.slot?.job?.state === "rolled_back", 40_000);
    expect(agent.slot).toMatchObject({ serving: true, active: { version: "1.1.0" }, job: { code: "hang" } });
    await agent.waitFor("the event", () => plane.events.some(({ kind }) => kind === "reverted"), 40_000);
  }, 120_000);

  it("is confirmed by itself after its trial with no network, and stays over a power cut", async () => {
    await using plane = await MiniPlane.start();
    const agent = new AgentHarness(plane);
    await using _owned = agent;
    expect((await agent.enrol()).code).toBe(0);
    await plane.desire(device, [toSlot(plane, "1.0.0")]);
    agent.run();
    await agent.waitForVersion("1.0.0");
    await plane.desire(device, [toSlot(plane, "1.1.0", { soakMs: 5_000 })]);
    await waitForTrial(agent);
    await plane.close();
    await eventually("it is confirmed", async () => (await readSlot(agent))?.job?.state === "succeeded");
    expect(await readSlot(agent)).toMatchObject({ active: "digit-reader 1.1.0", previous: "digit-reader 1.0.0" });
    await agent.process.kill("SIGKILL");
    agent.run();
    await isOldBack(agent);
    expect(await agent.accuracy(100)).toBeGreaterThan(0.94);
    await plane.open();
    await agent.waitFor(
      "it is reported",
      () => agent.slot?.job?.state === "succeeded" && agent.slot.active?.version === "1.1.0",
      40_000,
    );
  }, 120_000);

  it("goes back as unhealthy when it fails at a tenth of its inputs, with the numbers", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await open(plane, "threads: 1");
    const edges = { inputs: [["x", "float32", ["batch", 4]]], outputs: [["y", "float32", ["batch", 4]]] } as const;
    await plane.desire(device, [toModelSlot(plane, squareRootModel(), { ...reader, ...edges })]);
    await waitForTrial(agent);
    const statuses: number[] = [];
    // The root of a negative number is an answer that JSON cannot carry: the model's own error.
    for (let index = 0; index < 100; index += 1)
      statuses.push(
        await agent.ask([{ name: "x", datatype: "FP32", shape: [1, 4], data: [index % 10 === 0 ? -1 : 1, 1, 1, 1] }]),
      );
    expect(statuses.filter((status) => status === 500).length).toBeGreaterThanOrEqual(5);
    await agent.waitFor("it is rolled back", () => agent.slot?.job?.state === "rolled_back" && agent.slot.serving);
    expect(agent.slot?.job).toMatchObject({
      code: "unhealthy",
      reason: expect.stringMatching(/^\d+ of \d+ requests failed in the model$/u),
    });
    expect(await agent.accuracy(50)).toBeGreaterThan(0.9);
  }, 60_000);
});

/** The bad build was confirmed: what it was before is the one before it. */
async function openConfirmed(
  plane: MiniPlane,
  inference: string,
  build: Omit<ModelSlotOptions, "slot" | "model"> & { readonly bytes: Uint8Array },
): Promise<AgentHarness> {
  const agent = await open(plane, inference);
  await plane.desire(device, [toModelSlot(plane, build.bytes, { ...reader, ...build, soakMs: 300 })]);
  await agent.waitForVersion("9.0.0");
  return agent;
}

/** A record has 72 bytes and begins with its state, of which 3 is a run; see `apps/agent/src/serve/inflight.ts`. */
const isRunNoted = (records: Buffer) => records.some((byte, at) => at % 72 === 0 && byte === 3);

const ends = (plane: MiniPlane) => plane.events.flatMap((event) => (event.kind === "serving-crashed" ? [event] : []));
const reverts = (plane: MiniPlane) => plane.events.flatMap((event) => (event.kind === "reverted" ? [event] : []));

async function expectFallenBack(agent: AgentHarness, bad: string): Promise<void> {
  const { plane } = agent;
  await agent.waitFor(
    "the build before it serves",
    () => agent.slot?.active?.version === "1.1.0" && agent.slot.serving,
  );
  expect(await agent.accuracy(50)).toBeGreaterThan(0.9);
  await agent.waitFor("the event", () => reverts(plane).length > 0);
  expect(reverts(plane)).toMatchObject([{ slot: "reader", buildDigest: bad, reason: "5 crashes within five minutes" }]);
  expect(ends(plane).map(({ buildDigest, restarts }) => [buildDigest, restarts])).toEqual(
    [1, 2, 3, 4, 5].map((count) => [bad, count]),
  );
}

describe("a confirmed build that begins to crash", () => {
  it("is named at each of five crashes in its runs and gives way to the build before it, with growing waits between", async () => {
    await using plane = await MiniPlane.start();
    const slow = { inputs: [...loopEdges.inputs, ["trips", "int64", [1]] as const], outputs: loopEdges.outputs };
    await using agent = await openConfirmed(plane, "deadlineMs: 60000", {
      ...slow,
      bytes: endlessLoopModel({ trips: "asked" }),
    });
    const bad = agent.slot?.active?.buildDigest ?? "";
    const inflight = join(agent.data, "run", "inflight");
    for (let round = 1; round <= 5; round += 1) {
      await eventually("it serves", async () => (await agent.infer(0)).status === 400);
      const trips = { name: "trips", datatype: "INT64", shape: [1], data: [2 ** 40] };
      agent.ask([...four([0, 0, 0, 0]), trips]).catch(() => undefined);
      await eventually("its run is noted", () => isRunNoted(readFileSync(inflight)));
      for (const pid of readChildren(agent.process.pid)) process.kill(pid, "SIGKILL");
      await agent.waitFor("the crash is told", () => ends(plane).length >= round);
    }
    await expectFallenBack(agent, bad);
    const lines = agent.process.output.split("\n").filter((line) => /serving process ended.*delayMs/u.test(line));
    const delays = lines.map((line) => Number(/"?delayMs"?[=:]\s*(\d+)/u.exec(line)?.[1]));
    // The first restart is at once; later ones wait for 100 ms and up to 250 ms × 2, × 4, ….
    expect(delays[0]).toBe(0);
    expect(delays).toHaveLength(5);
    for (const [index, delay] of delays.slice(1).entries()) {
      expect(delay).toBeGreaterThanOrEqual(100);
      expect(delay).toBeLessThanOrEqual(100 + 250 * 2 ** (index + 1));
    }
  }, 120_000);

  it("holds more memory with each run until the limit: it is named each time, and gives way in the end", async () => {
    await using plane = await MiniPlane.start();
    const edges = { inputs: [["x", "float32", ["rows"]]], outputs: [["y", "float32", []]] } as const;
    // 16 MiB for each element of the input, which the runtime keeps once it has had it.
    await using agent = await openConfirmed(plane, `memoryLimitBytes: ${500 * 1_048_576}`, {
      ...edges,
      bytes: hungryModel(2n ** 22n),
    });
    const bad = agent.slot?.active?.buildDigest ?? "";
    for (let round = 1; round <= 5; round += 1) {
      await eventually("it serves", async () => (await agent.infer(0)).status === 400);
      let runs = 0;
      for (let rows = 1; ends(plane).length < round && rows < 200; rows += 1) {
        const data = Array.from({ length: rows }, () => 0);
        const status = await agent.ask([{ name: "x", datatype: "FP32", shape: [rows], data }]).catch(() => null);
        if (status === null) break;
        expect(status).toBe(200);
        runs += 1;
      }
      expect(runs).toBeGreaterThan(2);
      await agent.waitFor("the crash is told", () => ends(plane).length >= round);
    }
    await expectFallenBack(agent, bad);
    for (const { exit } of ends(plane)) expect(exit).toBe("SIGKILL (over its memory limit)");
  }, 120_000);
});
