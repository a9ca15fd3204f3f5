import { loadProfiles } from "@fairlead/hardware";
import { endlessLoopModel, hungryModel, mlpModel } from "@fairlead/inference/testing";
import { silentLogger } from "@fairlead/kernel";
import type { Build, ModelVersion } from "@fairlead/protocol";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { profilesFolder, servingEntry } from "../places.ts";
import { systemClock as clock } from "../system-clock.ts";
import { readFingerprint } from "./fingerprint.ts";
import { measureBuild, type MeasureBuildOptions } from "./measure-build.ts";

const dir = mkdtempSync(join(tmpdir(), "measure-build-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const toPath = (digest: string) => join(dir, digest.slice("sha256:".length));
const profiles = await loadProfiles(profilesFolder);
const profile = profiles.find(({ metadata }) => metadata.name === "generic-x86");
if (profile === undefined) throw new Error("no generic profile");

function toTarget(model: Uint8Array, [input, output]: readonly [string, string] = ["x", "y"]) {
  const digest = `sha256:${createHash("sha256").update(model).digest("hex")}`;
  writeFileSync(toPath(digest), model);
  const tensor = (name: string) => ({ name, elementType: "float32" as const, shape: [4] });
  const build: Build = {
    artifact: { digest, sizeBytes: model.length },
    ...{ format: "onnx", precision: "fp32", quantization: "none", target: { executionProviders: ["cpu"] } },
    ...{ inputs: [tensor(input)], outputs: [tensor(output)] },
  };
  const content: ModelVersion = {
    ...{ model: "loops", version: "1.0.0", description: "", classification: null, builds: [build] },
    selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
  };
  return { request: { releaseId: `rel-${"0".repeat(26)}`, content, candidates: [build] }, build };
}

const measure = (model: Uint8Array, rest: Partial<MeasureBuildOptions> = {}, signal = new AbortController().signal) =>
  measureBuild(
    {
      ...{ entry: servingEntry, folder: join(dir, "bench"), diskPath: dir, profile, toPath },
      offers: { providers: ["cpu"], runtimes: [], slots: {}, loadTimeoutMs: 10_000 },
      ...{ threads: 1, deadlineMs: 500, durationMs: 200, cores: 2, clock, logger: silentLogger },
      ...rest,
    },
    toTarget(model),
    signal,
  );

/** Processes that were told of this test's folder. */
function findProcesses(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/u.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(join(dir, "bench"));
    } catch {
      return false;
    }
  });
}

describe("measuring one build in a process of its own", () => {
  it("gives latency, energy with its method and the number of runs; accuracy is unknown without a golden set", async () => {
    const numbers = await measure(mlpModel({ widths: [4, 8, 2] }));
    expect(numbers).toMatchObject({
      failure: null,
      accuracyRatio: null,
      agreementRatio: null,
      energyMethod: "modelled",
    });
    expect(numbers.runs).toBeGreaterThan(10);
    expect(numbers.latencyUs?.p50).toBeGreaterThan(0);
    expect(numbers.latencyUs?.p99).toBeGreaterThanOrEqual(numbers.latencyUs?.p50 ?? 0);
    expect(numbers.joulesPerInference, JSON.stringify(numbers.joulesPerInference)).not.toHaveProperty("reason");
  });

  it.each([
    ["a run that never ends", endlessLoopModel(), /^hang: ./u],
    ["a run that asks for more memory than there is", hungryModel(2n ** 50n), /^[a-z_]+: ./u],
    ["bytes that are no model", new Uint8Array(64).fill(7), /^[a-z_]+: ./u],
  ])("names %s and gives no numbers", async (_, model, reason) => {
    const numbers = await measure(model);
    expect(numbers).toMatchObject({ latencyUs: null, runs: 0, joulesPerInference: { value: null } });
    expect(numbers.failure).toMatch(reason);
  });

  it("ends with the reason when it is called off, and leaves no process behind", async () => {
    const abort = new AbortController();
    const running = measure(mlpModel({ widths: [4, 8, 2] }), { durationMs: 60_000 }, abort.signal);
    setTimeout(() => abort.abort(new Error("another release")), 300);
    await expect(running).rejects.toThrow("another release");
    expect(findProcesses()).toEqual([]);
  });
});

it("is another fingerprint with other settings, providers or another profile, and the same with the same", async () => {
  const settings = { profile, providers: ["cpu"], threads: 1, deadlineMs: 500, durationMs: 100 };
  const first = await readFingerprint(settings);
  expect(await readFingerprint(structuredClone(settings))).toBe(first);
  const renamed = { ...profile, metadata: { ...profile.metadata, name: "other" } };
  for (const change of [{ threads: 2 }, { providers: ["webgpu", "cpu"] }, { deadlineMs: 1 }, { profile: renamed }])
    expect(await readFingerprint({ ...settings, ...change })).not.toBe(first);
});
