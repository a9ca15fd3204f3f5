import { mlpModel } from "@fairlead/inference/testing";
import { setTimeout as wait } from "node:timers/promises";
import { expect, it } from "vitest";
import type { ServingHost } from "../serving/serving-host.ts";
import { measureLoad } from "./measure-load.ts";
import { BenchDevice } from "./testing/bench-device.ts";

const durationMs = 600;

/** A serving process whose benchmark leaves this process no time for a sample in its first runs. */
class BusyMachine implements Pick<ServingHost, "request"> {
  runs = 0;
  readonly #busyRuns: number;

  constructor(busyRuns: number) {
    this.#busyRuns = busyRuns;
  }

  async request<T>(request: { readonly kind: string }): Promise<T> {
    if (request.kind !== "benchmark") return {} as T;
    this.runs += 1;
    const until = performance.now() + durationMs;
    if (this.runs <= this.#busyRuns) while (performance.now() < until);
    else await wait(2 * durationMs);
    const counts = { runs: 100, inferences: 100, busyUs: 1_000, golden: null, topClass: null };
    return { latencyUs: { p50: 10, p99: 20 }, ...counts } as T;
  }
}

async function measureOn(machine: BusyMachine) {
  await using device = new BenchDevice({ durationMs });
  const build = device.toBuild(mlpModel({ widths: [4, 8, 2] }));
  const target = { backend: { kind: "onnxruntime", executionProvider: "cpu" } } as never;
  return await measureLoad(machine, device.options, {
    ...{ request: device.toRequest(build), build, target, loadId: "load-1" },
  });
}

it("runs a build again when a busy moment left holes between the samples of its power", async () => {
  const machine = new BusyMachine(1);
  const { joulesPerInference, energyMethod } = await measureOn(machine);
  expect(joulesPerInference.value).toBeGreaterThanOrEqual(0);
  expect([energyMethod, machine.runs]).toEqual(["modelled", 2]);
});

it("says why there is no reading when every run was so, after three of them", async () => {
  const machine = new BusyMachine(Number.POSITIVE_INFINITY);
  const { joulesPerInference, runs } = await measureOn(machine);
  expect(joulesPerInference).toEqual({ value: null, reason: expect.any(String) as string });
  expect([runs, machine.runs]).toEqual([100, 3]);
});
