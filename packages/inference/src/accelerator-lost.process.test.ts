import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import type { LoadedModel, PlacementChange } from "./port.ts";
import { doublingModel, endlessLoopModel, identityOf, reshapeModel } from "./testing/example-models.ts";
import { FailingDriver, whyNoFailingDriver } from "./testing/failing-driver.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const reason = whyNoFailingDriver();
const providers = ["webgpu", "cpu"];
const double = async (model: LoadedModel) => {
  const x = { name: "x", datatype: "FP32" as const, shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) };
  const { outputs } = await model.infer([x], { deadlineMs: 10_000 });
  return [...(outputs[0]?.data ?? [])];
};
const code = (expected: string, message = "") =>
  expect.objectContaining({ code: expected, message: expect.stringContaining(message) as unknown });

/** Processes that this one started and that own a session. */
function listSessionProcesses(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .filter((pid) => {
      try {
        const parent = /^PPid:\s+(\d+)/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
        return Number(parent) === process.pid && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("-worker.ts");
      } catch {
        return false;
      }
    })
    .map(Number);
}

describe.skipIf(reason !== undefined)(
  `an accelerator that is lost${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 30_000 },
  () => {
    if (reason !== undefined) return;
    const driver = new FailingDriver();
    const profileFolder = mkdtempSync(join(tmpdir(), "profiles-"));
    Object.assign(process.env, driver.environment);
    afterAll(() => {
      driver[Symbol.dispose]();
      rmSync(profileFolder, { recursive: true });
    });

    it("is not made out of a run that fails by its input", async () => {
      const changes: PlacementChange[] = [];
      const runtime = createOnnxRuntime({ profileFolder });
      const onPlacement = (change: PlacementChange) => void changes.push(change);
      const model = await runtime.load(reshapeModel(1n), { providers, onPlacement });
      expect(model.placement.proof).toBe("profiled warm-up run");
      const run = (length: number) => {
        const x = { name: "x", datatype: "FP32" as const, shape: [length], data: new Float32Array(length).fill(3) };
        return model.infer([x], { deadlineMs: 10_000 });
      };
      await expect(run(2)).rejects.toThrow(code("inference_failed"));
      expect([...((await run(1)).outputs[0]?.data ?? [])]).toEqual([3]);
      expect(changes).toEqual([]);
      await model.close();
    });

    it("fails its runs by a code of its own, is told of once, and is used again only by another process", async () => {
      const runtime = createOnnxRuntime({ profileFolder });
      const changes: PlacementChange[] = [];
      const onPlacement = (change: PlacementChange) => void changes.push(change);
      const first = await runtime.load(doublingModel(), { providers, onPlacement });
      expect(first.placement).toMatchObject({ shares: { webgpu: 1 }, proof: "profiled warm-up run" });
      expect(await double(first)).toEqual([2, 4, 6, 8]);
      const neighbour: PlacementChange[] = [];
      const second = await runtime.load(doublingModel(), {
        providers,
        onPlacement: (change) => neighbour.push(change),
      });
      driver.break();
      await expect(double(first)).rejects.toThrow(code("accelerator_lost", "is lost"));
      // Both sessions are on one device: the other one is told without a run that fails.
      expect(neighbour).toEqual([{ kind: "lost", reason: expect.stringContaining("is lost") as unknown }]);
      await second.close();
      await expect(double(first)).rejects.toThrow(code("accelerator_lost", "is lost"));
      expect(changes).toEqual([{ kind: "lost", reason: expect.stringContaining("is lost") as unknown }]);

      const standIn = await runtime.load(doublingModel(), { providers });
      expect(standIn.placement).toMatchObject({
        shares: { cpu: 1 },
        failedProvider: "webgpu",
        requestedProviders: providers,
      });
      expect(await double(standIn)).toEqual([2, 4, 6, 8]);
      await expect(runtime.load(doublingModel(), { providers, standIn: false })).rejects.toThrow(
        code("accelerator_failed", "webgpu failed"),
      );
      await expect.poll(listSessionProcesses).toEqual([]);

      driver.mend();
      const again = await runtime.load(doublingModel(), { providers, standIn: false, onPlacement });
      expect(again.placement).toEqual({
        requestedProviders: providers,
        shares: { webgpu: 1 },
        proof: "profiled warm-up run",
      });
      expect(await Promise.all([double(again), double(standIn)])).toEqual([
        [2, 4, 6, 8],
        [2, 4, 6, 8],
      ]);
      const [pid = 0] = listSessionProcesses();
      process.kill(pid, "SIGKILL");
      await expect.poll(() => changes.length).toBe(2);
      expect(changes[1]).toEqual({ kind: "lost", reason: "its process ended (SIGKILL)" });
      await expect(double(again)).rejects.toThrow(code("accelerator_lost", "SIGKILL"));
      for (const model of [first, standIn, again]) await model.close();
      await expect.poll(listSessionProcesses).toEqual([]);
      expect(readdirSync(profileFolder)).toEqual([]);
    });

    describeRuntimeContract("onnxruntime in processes of its own", {
      createRuntime: () => createOnnxRuntime({ apart: ["webgpu"] }),
      providers,
      doublingModel,
      slowModel: () => endlessLoopModel({ trips: 3_000n, shape: ["batch", 4] }),
      failingModel: () => reshapeModel(7n),
      identityModel: identityOf,
      refusedDatatypes: ["BF16"],
      recovers: true,
    });
  },
);
