import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DesiredSlot, ModelVersion, SlotReport } from "@fairlead/protocol";
import { endlessLoopModel, hungryModel } from "@fairlead/inference/testing";
import { expect, it } from "vitest";
import { AgentHarness, device, toContent, toSlot } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

/*
 * Models that only a run can show to be forged (attacks A18 and A19), on a real agent beside a model that serves: the supervisor
 * starts the serving process once more, the neighbour answers again, and the forged build is the one that goes.
 */

const shape = (name: string, sizes: number[]) => ({ name, elementType: "float32", shape: sizes });

function toForged(plane: MiniPlane, bytes: Uint8Array): DesiredSlot {
  const base = toContent(plane, "1.0.0", { model: "digit-reader-1.1.0-int8.onnx", golden: "golden-1.1.0.json" });
  const builds = base.builds.map((build) => ({
    ...build,
    artifact: plane.addArtifact(Buffer.from(bytes)),
    ...{ inputs: [shape("x", [4])], outputs: [shape("y", [])] },
  }));
  const content: ModelVersion = {
    ...{ ...base, model: "forged", classification: null, builds },
    selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
  };
  return { slot: "other", release: plane.sign(content), rolloutId: null, attempt: 1, soakMs: 60_000 };
}

const limitBytes = 700 * 1_048_576;

it.each([
  ["A18 fills 4 GiB and meets the memory limit", hungryModel(2n ** 30n), "crash"],
  ["A19 loops for ever and meets its deadline", endlessLoopModel(), "hang"],
])(
  "%s: the neighbour answers before, and again after one restart; the forged build is dropped",
  async (...row) => {
    const [, bytes, code] = row;
    await using plane = await MiniPlane.start();
    await using agent = new AgentHarness(plane);
    expect((await agent.enrol()).code).toBe(0);
    const settings = [`deadlineMs: ${code === "hang" ? 800 : 10_000}`, `memoryLimitBytes: ${limitBytes}`];
    writeFileSync(join(agent.data, "config.yaml"), `inference:\n  ${settings.join("\n  ")}\n`);
    const reader = toSlot(plane, "1.1.0");
    await plane.desire(device, [reader]);
    agent.run();
    await agent.waitForVersion("1.1.0");
    const other = (): SlotReport | undefined => plane.reported.at(-1)?.slots.find(({ slot }) => slot === "other");
    await plane.desire(device, [reader, toForged(plane, bytes)]);
    await agent.waitFor("the forged model is on trial", () => other()?.job?.state === "soaking" && other()?.serving);
    expect(await agent.infer(0)).toMatchObject({ status: 200 });

    const inputs = [{ name: "x", datatype: "FP32", shape: [4], data: [1, 1, 1, 1] }];
    const body = JSON.stringify({ inputs: code === "hang" ? inputs : [{ ...inputs[0], shape: [1], data: [1] }] });
    const url = `${agent.endpoint}/v2/models/forged/infer`;
    await fetch(url, { method: "POST", body, signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
    await agent.waitFor("the forged build is dropped", () => other()?.job?.state === "failed");
    expect(other()).toMatchObject({ serving: false, job: { code } });
    await agent.waitFor("the neighbour serves", () => agent.slot?.serving === true);
    expect(await agent.accuracy(20)).toBeGreaterThan(0.9);
    const crashes = plane.events.filter(({ kind }) => kind === "serving-crashed");
    expect(crashes.length).toBeLessThanOrEqual(1);
  },
  60_000,
);
