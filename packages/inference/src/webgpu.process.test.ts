import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { giveUpElsewhere } from "./testing/deadline-process.ts";
import { doublingModel, endlessLoopModel, hardmaxModel, identityOf, reshapeModel } from "./testing/example-models.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const driver = "/usr/lib/chromium/vk_swiftshader_icd.json";
const loader = ["x86_64", "aarch64"].map((arch) => `/usr/lib/${arch}-linux-gnu/libvulkan.so.1`).find(existsSync);
const absent = existsSync(driver) ? (loader === undefined ? "libvulkan1" : undefined) : "chromium";
const reason = absent === undefined ? undefined : `Debian's package ${absent} is not installed`;

describe.skipIf(reason !== undefined)(
  `webgpu${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 60_000 },
  () => {
    if (reason !== undefined) return;
    // The Vulkan loader reads the environment of the process when the first session is made.
    process.env["VK_DRIVER_FILES"] = driver;
    const runtimeFolder = mkdtempSync(join(tmpdir(), "fairlead-xdg-"));
    process.env["XDG_RUNTIME_DIR"] = runtimeFolder;
    afterAll(() => rmSync(runtimeFolder, { recursive: true }));
    describeRuntimeContract("onnxruntime on webgpu", {
      createRuntime: () => createOnnxRuntime(),
      providers: ["webgpu", "cpu"],
      doublingModel,
      slowModel: () => endlessLoopModel({ trips: 3_000n, shape: ["batch", 4] }),
      giveUpElsewhere,
      failingModel: () => reshapeModel(7n),
      identityModel: identityOf,
      refusedDatatypes: ["BF16"],
    });

    describe("a model of which WebGPU has one node and lacks another", () => {
      const x = () => ({ name: "x", datatype: "FP32" as const, shape: [1, 4], data: Float32Array.of(1, 4, 2, 3) });

      it("is refused where WebGPU is demanded, since a part of it would run on the processor", async () => {
        const loading = createOnnxRuntime().load(hardmaxModel(), { providers: ["webgpu"] });
        await expect(loading).rejects.toThrow(expect.objectContaining({ code: "accelerator_failed" }));
        const whole = await createOnnxRuntime().load(doublingModel(), { providers: ["webgpu"] });
        expect(whole.placement).toMatchObject({ shares: { webgpu: 1 } });
        await whole.close();
      });

      it("has a share on each where the processor may help", async () => {
        const model = await createOnnxRuntime().load(hardmaxModel(), { providers: ["webgpu", "cpu"] });
        const { webgpu = 0, cpu = 0 } = model.placement.shares ?? {};
        expect(Math.min(webgpu, cpu)).toBeGreaterThan(0);
        expect(webgpu + cpu).toBeCloseTo(1, 9);
        const { outputs } = await model.infer([x()], { deadlineMs: 10_000 });
        expect([...(outputs[0]?.data ?? [])]).toEqual([0, 1, 0, 0]);
        await model.close();
      });
    });
  },
);
