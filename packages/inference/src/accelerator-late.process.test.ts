import { afterAll, describe, expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { mlpModel } from "./testing/example-models.ts";
import { FailingDriver, whyNoFailingDriver } from "./testing/failing-driver.ts";

const reason = whyNoFailingDriver();
const model = () => mlpModel({ widths: [8, 16, 4] });
const code = (expected: string, message = "") =>
  expect.objectContaining({ code: expected, message: expect.stringContaining(message) as unknown });

describe.skipIf(reason !== undefined)(
  `an accelerator that is not there at first${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  { timeout: 30_000 },
  () => {
    if (reason !== undefined) return;
    const driver = new FailingDriver("broken");
    Object.assign(process.env, driver.environment);
    afterAll(() => driver[Symbol.dispose]());

    it("is refused where it is required, stood in for where it is not, and used once it is there", async () => {
      const runtime = createOnnxRuntime();
      await expect(runtime.load(model(), { providers: ["webgpu"] })).rejects.toThrow(
        code("accelerator_failed", "webgpu is required and failed"),
      );
      const nonsense = new TextEncoder().encode("nonsense");
      await expect(createOnnxRuntime().load(nonsense, { providers: ["webgpu"] })).rejects.toThrow(
        code("model_load_failed"),
      );
      const standIn = await createOnnxRuntime().load(model(), { providers: ["webgpu", "cpu"] });
      expect(standIn.placement).toMatchObject({ shares: { cpu: 1 }, failedProvider: "webgpu" });
      expect(standIn.placement.proof).toContain("the cpu stands in: webgpu failed: ");
      driver.mend();
      const required = await runtime.load(model(), { providers: ["webgpu"] });
      expect(required.placement).toMatchObject({ shares: { webgpu: 1 } });
      for (const loaded of [standIn, required]) await loaded.close();
    });
  },
);
