import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RolloutStatus } from "@fairlead/protocol";
import { buildOnnxModel } from "@fairlead/inference/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, runCliJson } from "../support/cli.ts";
import { createEnrolmentToken, TestDevice } from "../support/device.ts";
import { eventually } from "../support/eventually.ts";
import { TestPlane } from "../support/plane.ts";
import { publishDigitReader } from "../support/publish.ts";
import { forgetPeakRss, readPeakRssBytes, readRssBytes } from "../support/rss.ts";

const weightsBytes = 300_000_000;
/**
 * Buffers that were read and not yet collected came to 84 MB on both sides, whatever the size of the model; a copy of it
 * cannot hide in this, nor can a half of it.
 */
const mayGrowBytes = 128_000_000;
const dir = mkdtempSync(join(tmpdir(), "fairlead-large-"));
const plane = new TestPlane({ dir: join(dir, "plane") });
const device = new TestDevice({ name: "large-1", dir: join(dir, "large-1"), labels: {} });
const file = join(dir, "large.onnx");

/** One row of a large table: nothing to compute, and weights of a stated size. */
function writeLargeModel(): void {
  const data = new Uint8Array(weightsBytes);
  for (let at = 0; at < weightsBytes; at += 4_096) data[at] = at / 4_096;
  const model = buildOnnxModel({
    graph: {
      nodes: [{ op: "Gather", inputs: ["table", "row"], outputs: ["values"] }],
      inputs: [{ name: "row", type: "int64", shape: [1] }],
      outputs: [{ name: "values", type: "int8", shape: [1, 1_000] }],
      initializers: [{ name: "table", type: "int8", dims: [weightsBytes / 1_000, 1_000], data }],
    },
  });
  writeFileSync(file, model);
}

async function must(...args: string[]): Promise<void> {
  const answer = await runCli(args, plane.cliEnv);
  if (answer.code !== 0) throw new Error(`fairlead ${args.join(" ")}: exit ${answer.code}\n${answer.stderr}`);
}

async function install(model: string, slot: string): Promise<void> {
  const target = ["--model", model, "--version", "1.0.0", "--slot", slot, "--all-devices"];
  const { rolloutId } = await runCliJson<RolloutStatus>(
    ["rollouts", "create", ...target, "--stages", "all=100%", "--soak", "0s", "--device-soak", "0s"],
    plane.cliEnv,
  );
  await eventually(
    `${model} is installed`,
    async () => {
      const { reason, state } = await plane.rollout(rolloutId);
      if (["failed", "rolled_back", "rollback_failed"].includes(state)) throw new Error(reason);
      return state === "succeeded";
    },
    120_000,
  );
}

/** By how much the most that a process held while something was done is above what it held before. */
async function readGrowthBytes(pid: number, work: () => Promise<void>): Promise<number> {
  forgetPeakRss(pid);
  const before = readRssBytes(pid);
  await work();
  return readPeakRssBytes(pid) - before;
}

beforeAll(async () => {
  await plane.start();
  await device.enrol(plane, await createEnrolmentToken(plane, 1));
  device.run();
  // The first of everything loads code and fills caches, whatever its size.
  await publishDigitReader(plane, "1.0.0");
  await install("digit-reader", "reader");
  writeLargeModel();
}, 180_000);
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

describe("a model of 300 MB", () => {
  it("is taken, measured and inspected by the plane without a copy of it in memory", async () => {
    const growth = await readGrowthBytes(plane.process.pid, () =>
      must("models", "push", file, "--model", "large", "--version", "1.0.0", "--timeout", "5m"),
    );
    expect(growth).toBeLessThan(mayGrowBytes);
  }, 180_000);

  it("is served by the plane, and fetched and verified by the agent, without a copy of it in memory", async () => {
    await must("releases", "sign", "large", "1.0.0");
    let served = Number.NaN;
    const fetched = await readGrowthBytes(device.process.pid, async () => {
      served = await readGrowthBytes(plane.process.pid, () => install("large", "large"));
    });
    expect(served, "the plane").toBeLessThan(mayGrowBytes);
    expect(fetched, "the agent's supervisor").toBeLessThan(mayGrowBytes);
  }, 240_000);
});
