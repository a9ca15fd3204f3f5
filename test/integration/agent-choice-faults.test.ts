import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Build, ModelVersion } from "@fairlead/protocol";
import { endlessLoopModel } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { findBench, quickModel, slowModel } from "../support/bench-process.ts";
import { killNow } from "../support/child-of.ts";
import { digitModelPath } from "../support/digits.ts";
import { AgentHarness, device, toContent } from "./agent-harness.ts";
import { MiniPlane } from "./mini-plane.ts";

const endless = (by: bigint) => endlessLoopModel({ trips: 2n ** 63n - 1n - by });

function toLoops(plane: MiniPlane, version: string, models: readonly Uint8Array[]): ModelVersion {
  const tensor = (name: string) => ({ name, elementType: "float32" as const, shape: [4] });
  const builds = models.map((model): Build => ({
    artifact: plane.addArtifact(Buffer.from(model)),
    ...{ format: "onnx", precision: "fp32", quantization: "none", target: { executionProviders: ["cpu"] } },
    ...{ inputs: [tensor("x")], outputs: [tensor("y")] },
  }));
  const selfTest = { golden: null, latencyP95Ms: null, repeats: 3 };
  return { model: "loops", version, description: "", classification: null, builds, selfTest };
}

function toDigits(plane: MiniPlane, files: readonly string[], rest: Partial<ModelVersion> = {}): ModelVersion {
  const content = toContent(plane, "1.1.0", { model: files[0] ?? "", golden: "golden-1.1.0.json" });
  const [first] = content.builds as [Build];
  const add = (file: string) => ({ ...first, artifact: plane.addArtifact(readFileSync(digitModelPath(file))) });
  return { ...content, builds: files.map(add), ...rest };
}

const desire = (plane: MiniPlane, content: ModelVersion, attempt = 1) =>
  plane.desire(device, [{ slot: "reader", release: plane.sign(content), rolloutId: null, attempt, soakMs: 200 }]);
const configure = (agent: AgentHarness, benchmarkMs: number, deadlineMs = 10_000) =>
  writeFileSync(
    join(agent.data, "config.yaml"),
    `inference: { deadlineMs: ${deadlineMs} }\nchoice: { benchmarkMs: ${benchmarkMs} }\n`,
  );
const toVerdicts = (agent: AgentHarness) =>
  Object.fromEntries(agent.slot?.choice?.candidates.map(({ buildDigest, ...rest }) => [buildDigest, rest]) ?? []);

async function openAgent(plane: MiniPlane, benchmarkMs: number, deadlineMs?: number): Promise<AgentHarness> {
  const agent = new AgentHarness(plane);
  expect((await agent.enrol()).code).toBe(0);
  configure(agent, benchmarkMs, deadlineMs);
  return agent;
}

describe("a device that measures builds which go wrong", { timeout: 120_000 }, () => {
  it("takes another build when one crashes, and switches when it is measured again and the first one holds", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await openAgent(plane, 2_000);
    const content = toLoops(plane, "1.0.0", [quickModel(), slowModel()]);
    const [fast = "", steady = ""] = content.builds.map(({ artifact }) => artifact.digest);
    await desire(plane, content);
    agent.run();
    killNow(await agent.waitFor("the first candidate runs", () => findBench(agent.process.pid)));
    await agent.waitFor("the other one is taken", () => agent.slot?.job?.state === "succeeded");
    expect(agent.slot?.active?.buildDigest).toBe(steady);
    expect(toVerdicts(agent)).toMatchObject({
      [fast]: { verdict: "failed", reason: "crash: its process ended (SIGKILL)", latencyUs: null, runs: 0 },
      [steady]: { verdict: "chosen", reason: "the only build that passed" },
    });
    const before = agent.slot?.choice;

    await agent.process.kill("SIGKILL");
    const mark = plane.reported.length;
    configure(agent, 500);
    agent.run();
    await agent.waitFor("it has switched", () => agent.slot?.active?.buildDigest === fast && agent.slot.serving);
    await agent.waitFor("the job ends", () => agent.slot?.job?.state === "succeeded");
    expect(toVerdicts(agent)).toMatchObject({ [fast]: { verdict: "chosen" }, [steady]: { verdict: "lost" } });
    expect(agent.slot?.choice?.fingerprint).not.toBe(before?.fingerprint);
    expect(agent.slot?.previous).toMatchObject({ version: "1.0.0" });
    const slots = plane.reported.slice(mark).flatMap((report) => report.slots);
    const since = slots.slice(slots.findIndex(({ serving }) => serving));
    expect(
      since.every(({ serving }) => serving),
      "it serves all the while",
    ).toBe(true);

    const decided = agent.slot?.choice?.measuredAtMs ?? 0;
    const measured = await agent.command("bench", "--measure", "--slot", "reader");
    expect(measured).toMatchObject({ code: 0, output: expect.stringContaining("slot reader: decided by latency") });
    await agent.waitFor("newer numbers are reported", () => (agent.slot?.choice?.measuredAtMs ?? 0) > decided);
    await agent.waitFor("they decide", () => agent.slot?.choice?.state === "decided");
    expect(agent.slot).toMatchObject({
      active: { buildDigest: fast },
      choice: { cached: false },
      job: { state: "succeeded" },
    });

    await agent.process.kill("SIGKILL");
    expect(await agent.command("bench", "--measure")).toMatchObject({
      code: 1,
      output: expect.stringContaining("agent_not_running"),
    });
  });

  it("names a build that hangs, and says why when none passes, while it goes on serving what it has", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await openAgent(plane, 300, 1_500);
    const endsWith = (version: string, state: string) =>
      agent.waitFor(
        `${version} is ${state}`,
        () => agent.slot?.choice?.state === "decided" && agent.slot.job?.state === state,
      );
    const first = toLoops(plane, "1.0.0", [quickModel(), endless(0n)]);
    await desire(plane, first);
    agent.run();
    await endsWith("1.0.0", "succeeded");
    const [chosen = "", hung = ""] = first.builds.map(({ artifact }) => artifact.digest);
    expect(toVerdicts(agent)[hung]).toMatchObject({ verdict: "failed", reason: expect.stringMatching(/^hang: /u) });

    await desire(plane, toLoops(plane, "1.1.0", [endless(1n), endless(2n)]), 2);
    await endsWith("1.1.0", "failed");
    expect(agent.slot?.job).toMatchObject({
      code: "no_build_passed",
      reason: expect.stringMatching(/none of 2 .*hang: .*hang: /u),
    });
    expect(agent.slot).toMatchObject({ serving: true, active: { buildDigest: chosen } });
    expect(agent.slot?.choice).toMatchObject({ chosen: null });

    const files = ["digit-reader-1.2.0-int8-miscalibrated.onnx", "digit-reader-1.0.0-int8.onnx"];
    const choice = { objective: "energy", accuracyFloor: 0.9 } as const;
    await desire(plane, toDigits(plane, files, { choice }), 3);
    await agent.waitFor("the floor excludes both", () => agent.slot?.job?.reason?.includes("below the floor of 90 %"));
    expect(agent.slot?.job).toMatchObject({ state: "failed", code: "no_build_passed" });
    expect(agent.slot?.choice?.candidates.map(({ verdict }) => verdict)).toEqual(["excluded", "excluded"]);
    expect(agent.slot).toMatchObject({ serving: true, active: { buildDigest: chosen } });
  });

  it("goes on after the agent is killed in the middle of measuring, with the numbers that it has", async () => {
    await using plane = await MiniPlane.start();
    await using agent = await openAgent(plane, 2_000);
    await desire(plane, toDigits(plane, ["digit-reader-1.1.0-int8.onnx", "digit-reader-1.1.0-fp32.onnx"]));
    agent.run();
    const half = await agent.waitFor("one of two is measured", () => {
      const measured = agent.slot?.choice?.candidates.filter(({ runs }) => runs > 0) ?? [];
      return measured.length === 1 && agent.slot?.choice?.state === "measuring" ? measured[0] : undefined;
    });
    await agent.waitFor("the other one runs", () => findBench(agent.process.pid));
    await agent.process.kill("SIGKILL");
    agent.run();
    await agent.waitForVersion("1.1.0");
    const candidates = agent.slot?.choice?.candidates ?? [];
    expect(candidates.map(({ verdict }) => verdict).toSorted()).toEqual(["chosen", "lost"]);
    const { latencyUs, runs } = half;
    expect(candidates.find(({ buildDigest }) => buildDigest === half.buildDigest)).toMatchObject({ latencyUs, runs });
  });
});
