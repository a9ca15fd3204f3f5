import { endlessLoopModel, hungryModel, mlpModel } from "@fairlead/inference/testing";
import { describe, expect, it, vi } from "vitest";
import { runtimesSchema } from "../serving/runtime-config.ts";
import { readFingerprint, type FingerprintOptions } from "./fingerprint.ts";
import { BenchDevice, findProfile } from "./testing/bench-device.ts";

const good = mlpModel({ widths: [4, 8, 2] });

describe("measuring one build in a process of its own", { timeout: 30_000 }, () => {
  it("gives latency, energy with its method and the number of runs; accuracy is unknown without a golden set", async () => {
    await using device = new BenchDevice();
    const numbers = await device.measure(device.toBuild(good));
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
    await using device = new BenchDevice();
    const numbers = await device.measure(device.toBuild(model));
    expect(numbers).toMatchObject({ latencyUs: null, runs: 0, joulesPerInference: { value: null } });
    expect(numbers.failure).toMatch(reason);
  });

  it("ends a build that really fills memory beyond the limit, names it, and chooses among the others", async () => {
    await using device = new BenchDevice({ deadlineMs: 10_000, bounds: { memoryLimitBytes: 2 ** 29 } });
    const hungry = device.toBuild(hungryModel(2n ** 30n));
    const modest = device.toBuild(good);
    const { wish, chooser } = await device.choose(hungry, modest);
    expect(wish).toMatchObject({ kind: "install", build: { artifact: modest.artifact } });
    expect(chooser.view("reader")?.candidates.find((one) => one.buildDigest === hungry.artifact.digest)).toMatchObject({
      reason: expect.stringContaining("over its memory limit") as unknown,
    });
  });

  it("does not even load a build that cannot fit under the limit", async () => {
    await using device = new BenchDevice({ bounds: { memoryLimitBytes: 100 * 2 ** 20 } });
    const large = device.toBuild(mlpModel({ widths: [1_000, 4_000, 1_000] }));
    expect((await device.measure(large)).failure).toMatch(/^memory_insufficient: /u);
  });

  it("measures no operator that the device denies, and the choice goes on without that build", async () => {
    const models = { allowDomains: ["ai.onnx"], denyOperators: ["Loop"] };
    await using device = new BenchDevice({ bounds: { models, memoryLimitBytes: 2 ** 31 } });
    const denied = device.toBuild(endlessLoopModel({ trips: 2n }));
    const allowed = device.toBuild(good);
    expect((await device.measure(denied)).failure).toMatch(/Loop/u);
    const { wish } = await device.choose(denied, allowed);
    expect(wish).toMatchObject({ kind: "install", build: { artifact: allowed.artifact } });
  });

  it("names a build whose process ends in the middle, and nobody else notices", async () => {
    await using device = new BenchDevice({ durationMs: 60_000 });
    const running = device.measure(device.toBuild(good));
    await vi.waitFor(() => expect(device.findProcesses()).not.toEqual([]), { timeout: 10_000 });
    for (const pid of device.findProcesses()) process.kill(Number(pid), "SIGABRT");
    expect((await running).failure).toBe("crash: its process ended (SIGABRT)");
  });

  it("ends with the reason when it is called off, and leaves no process behind", async () => {
    await using device = new BenchDevice({ durationMs: 60_000 });
    const abort = new AbortController();
    const running = device.measure(device.toBuild(good), abort.signal);
    setTimeout(() => abort.abort(new Error("another release")), 300);
    await expect(running).rejects.toThrow("another release");
    expect(device.findProcesses()).toEqual([]);
  });
});

const server = {
  kind: "open-inference",
  command: ["server", "--model-repository={repository}"],
  url: "http://127.0.0.1:8000",
};

it("is another fingerprint with whatever else changes the numbers, and the same with the same", async () => {
  const settings: FingerprintOptions = {
    ...{
      root: "/",
      vulkanDriverFiles: undefined,
      profile: findProfile("generic-x86"),
      providers: ["cpu"],
      isolated: [],
      models: {},
      memoryLimitBytes: 2 ** 31,
    },
    ...{ runtimes: runtimesSchema.parse({ second: server }), threads: 1, deadlineMs: 500, durationMs: 100 },
  };
  const first = await readFingerprint(settings);
  expect(await readFingerprint(structuredClone(settings))).toBe(first);
  const toRuntimes = (change: object) => ({ runtimes: runtimesSchema.parse({ second: { ...server, ...change } }) });
  expect(await readFingerprint({ ...settings, ...toRuntimes({ slots: ["reader"] }) })).toBe(first);
  const renamed = { ...settings.profile, metadata: { ...settings.profile.metadata, name: "other" } };
  const changes: Partial<FingerprintOptions>[] = [
    ...[{ threads: 2 }, { deadlineMs: 1 }, { profile: renamed }, { memoryLimitBytes: 2 ** 30 }],
    ...[{ providers: ["webgpu", "cpu"] }, { isolated: ["webgpu"] }, { models: { denyOperators: ["Loop"] } }],
    ...[{ runtimes: {} }, toRuntimes({ command: ["other"] }), toRuntimes({ environment: { VK_DRIVER_FILES: "/x" } })],
  ];
  const others = await Promise.all(changes.map((change) => readFingerprint({ ...settings, ...change })));
  expect(new Set([first, ...others]).size).toBe(changes.length + 1);
});
