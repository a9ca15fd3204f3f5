import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DesiredSlot, SlotReport } from "@fairlead/protocol";
import { endlessLoopModel, hungryModel } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import { eventually } from "../support/eventually.ts";
import { AgentHarness, device, toModelSlot, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

/*
 * Models that only a run can show to be forged (attacks A18 and A19), on a real agent beside a model that serves: the supervisor
 * starts the serving process once more, the neighbour answers again, and the forged build is the one that goes.
 */

function toForged(plane: MiniPlane, bytes: Uint8Array, golden: unknown = null): DesiredSlot {
  const edges = { inputs: [["x", "float32", [4]]], outputs: [["y", "float32", []]] } as const;
  return toModelSlot(plane, bytes, { slot: "other", model: "forged", ...edges, golden });
}

const limitBytes = 700 * 1_048_576;

const endless = endlessLoopModel();
const hungry = hungryModel(2n ** 30n);
const toInput = (values: readonly number[]) => ({ datatype: "FP32", shape: [values.length], data: values });

/** An agent whose reader serves, with limits that the forged model meets. */
async function openBeside(plane: MiniPlane, code: string): Promise<{ agent: AgentHarness; reader: DesiredSlot }> {
  const agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  const settings = [`deadlineMs: ${code === "hang" ? 800 : 10_000}`, `memoryLimitBytes: ${limitBytes}`];
  writeFileSync(join(agent.data, "config.yaml"), `inference:\n  ${settings.join("\n  ")}\n`);
  const reader = toSlot(plane, "1.1.0");
  await plane.desire(device, [reader]);
  agent.run();
  await agent.waitForVersion("1.1.0");
  return { agent, reader };
}

const toOther = (plane: MiniPlane): SlotReport | undefined =>
  plane.reported.at(-1)?.slots.find(({ slot }) => slot === "other");

/** The forged build is gone and named in one event, the neighbour answers again. */
async function expectDropped(agent: AgentHarness, code: string): Promise<void> {
  const { plane } = agent;
  await agent.waitFor("the forged build is dropped", () => toOther(plane)?.job?.state === "failed");
  expect(toOther(plane)).toMatchObject({ serving: false, job: { code } });
  const ends = () => plane.events.filter(({ kind }) => kind === "serving-crashed" || kind === "serving-hung");
  // The job ends with the run; the process is killed for it a moment later, and what was reported before says less.
  await agent.waitFor("the event", () => ends().length > 0);
  await eventually("the neighbour serves", async () => (await agent.infer(0)).status === 200);
  expect(await agent.accuracy(20)).toBeGreaterThan(0.9);
  // Exactly one: the process ended once, and the neighbour, which did not run then, is not named for it.
  expect(ends()).toMatchObject([{ kind: code === "hang" ? "serving-hung" : "serving-crashed", slot: "other" }]);
}

it.each([
  ["A18 fills 4 GiB and meets the memory limit", hungry, "crash", [1]],
  ["A19 loops for ever and meets its deadline", endless, "hang", [1, 1, 1, 1]],
])(
  "%s: the neighbour answers before, and again after one restart; the forged build is dropped",
  async (...row) => {
    const [, bytes, code, values] = row;
    await using plane = await MiniPlane.start();
    const { agent, reader } = await openBeside(plane, code);
    await using _owned = agent;
    await plane.desire(device, [reader, toForged(plane, bytes)]);
    await agent.waitFor(
      "the forged model is on trial",
      () => toOther(plane)?.job?.state === "soaking" && toOther(plane)?.serving,
    );
    expect(await agent.infer(0)).toMatchObject({ status: 200 });
    const body = JSON.stringify({ inputs: [{ name: "x", ...toInput(values) }] });
    const url = `${agent.endpoint}/v2/models/forged/infer`;
    await fetch(url, { method: "POST", body, signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
    await expectDropped(agent, code);
  },
  60_000,
);

it.each([
  ["A18 fills 4 GiB in its self-test", hungry, "crash", [1]],
  ["A19 loops for ever in its self-test", endless, "hang", [1, 1, 1, 1]],
])(
  "%s: it never serves, is named, and the neighbour answers again",
  async (...row) => {
    const [, bytes, code, values] = row;
    await using plane = await MiniPlane.start();
    const { agent, reader } = await openBeside(plane, code);
    await using _owned = agent;
    const tolerance = { toleranceAbs: 1, toleranceRel: 0 };
    const golden = {
      v: 1,
      cases: [
        {
          name: "one",
          inputs: { x: toInput(values) },
          outputs: { y: { datatype: "FP32", shape: [], data: [1] } },
          ...tolerance,
        },
      ],
    };
    await plane.desire(device, [reader, toForged(plane, bytes, golden)]);
    await expectDropped(agent, code);
    const states = plane.events.flatMap((event) =>
      event.kind === "job-step" && event.slot === "other" ? [event.state] : [],
    );
    expect(states).toContain("self_test");
    expect(states).not.toContain("soaking");
  },
  60_000,
);
