import { describe, expect, it } from "vitest";
import type { InferenceRuntime } from "../port.ts";
import type { Tensor } from "../tensor.ts";

export interface RuntimeContract {
  createRuntime(): InferenceRuntime;
  /** What loads ask for; default ["cpu"]. */
  readonly providers?: readonly string[];
  /** `x` FP32 [-1, 4] → `y` FP32 [-1, 4] = x + x. */
  doublingModel(): Uint8Array<ArrayBuffer>;
  /** Same edge; one run takes between 0.3 and 4 seconds. Null where this process does not survive a hung run. */
  readonly slowModel: (() => Uint8Array<ArrayBuffer>) | null;
  /** `x` FP32 [4] → fails at run time although it loads. */
  failingModel(): Uint8Array<ArrayBuffer>;
  /** Whether a run past its deadline is ended with its server, so that the model can be closed. Default false. */
  readonly recovers?: boolean;
}

const x = (values: number[], shape = [values.length / 4, 4]): Tensor => ({
  name: "x",
  datatype: "FP32",
  shape,
  data: Float32Array.from(values),
});
const code = (expected: string) => expect.objectContaining({ code: expected });
const ample = { deadlineMs: 10_000 };

/** What every runtime must do; the fake included, or tests that use it would prove nothing. */
export function describeRuntimeContract(name: string, contract: RuntimeContract): void {
  const providers = contract.providers ?? ["cpu"];
  const load = (model: Uint8Array<ArrayBuffer>) => contract.createRuntime().load(model, { providers });
  describe(`runtime ${name}`, () => {
    it("tells inputs, outputs and placement of a loaded model", async () => {
      const model = await load(contract.doublingModel());
      expect(model.inputs).toEqual([{ name: "x", datatype: "FP32", shape: [-1, 4] }]);
      expect(model.outputs).toEqual([{ name: "y", datatype: "FP32", shape: [-1, 4] }]);
      expect(model.placement).toMatchObject({ requestedProviders: providers, shares: { [providers[0] ?? "cpu"]: 1 } });
      await model.close();
    });

    it("computes, keeps order and answers any batch", async () => {
      const model = await load(contract.doublingModel());
      const order: number[] = [];
      const runs = Array.from({ length: 50 }, async (_, index) => {
        const result = await model.infer([x(Array.from({ length: 4 * (1 + (index % 3)) }, () => index))], ample);
        order.push(index);
        return result;
      });
      expect(model.pending).toBe(50);
      const results = await Promise.all(runs);
      expect(order).toEqual(results.map((_, index) => index));
      for (const [index, { outputs, runUs }] of results.entries()) {
        expect(outputs[0]).toMatchObject({ name: "y", datatype: "FP32", shape: [1 + (index % 3), 4] });
        expect([...(outputs[0]?.data ?? [])]).toEqual(Array.from({ length: 4 * (1 + (index % 3)) }, () => 2 * index));
        expect(runUs).toBeGreaterThanOrEqual(0);
      }
      expect(model.pending).toBe(0);
      await model.close();
    });

    it("reads a view that starts inside its buffer", async () => {
      const model = await load(contract.doublingModel());
      const data = new Float32Array(10).fill(9).subarray(3, 7);
      const { outputs } = await model.infer([{ ...x([0, 0, 0, 0]), data }], ample);
      expect([...(outputs[0]?.data ?? [])]).toEqual([18, 18, 18, 18]);
      await model.close();
    });

    it.each([
      ["another name", [{ ...x([1, 2, 3, 4]), name: "z" }]],
      ["another datatype", [{ ...x([1, 2, 3, 4]), datatype: "FP64" as const, data: new Float64Array(4) }]],
      ["another rank", [x([1, 2, 3, 4], [4])]],
      ["another width", [x([1, 2, 3, 4], [2, 2])]],
      ["fewer elements than the shape says", [x([1, 2, 3, 4], [2, 4])]],
      ["no input", []],
      ["one input too many", [x([1, 2, 3, 4]), { ...x([1, 2, 3, 4]), name: "z" }]],
    ])("refuses %s as input and goes on", async (_, inputs) => {
      const model = await load(contract.doublingModel());
      await expect(model.infer(inputs, ample)).rejects.toThrow(code("input_invalid"));
      await expect(model.infer([x([1, 2, 3, 4])], ample)).resolves.toBeDefined();
      await model.close();
    });

    it("refuses what is no model and a provider that nobody offers", async () => {
      const runtime = contract.createRuntime();
      await expect(runtime.load(new TextEncoder().encode("nonsense"))).rejects.toThrow(code("model_load_failed"));
      const options = { providers: ["qnn", "cpu"] };
      await expect(runtime.load(contract.doublingModel(), options)).rejects.toThrow(code("provider_unknown"));
      await expect(runtime.load(contract.doublingModel(), { providers: [] })).rejects.toThrow(code("provider_unknown"));
    });

    it("reports a run that fails and goes on", async () => {
      const model = await load(contract.failingModel());
      await expect(model.infer([x([1, 2, 3, 4], [4])], ample)).rejects.toThrow(code("inference_failed"));
      await expect(model.infer([x([1, 2, 3, 4], [4])], ample)).rejects.toThrow(code("inference_failed"));
      await model.close();
    });

    it.each(contract.slowModel === null ? [] : [contract.slowModel])(
      "gives up a run at its deadline, refuses those behind it and calls the model hung",
      async (slowModel) => {
        const model = await load(slowModel());
        const first = model.infer([x([1, 2, 3, 4])], { deadlineMs: 50 });
        const second = model.infer([x([1, 2, 3, 4])], { deadlineMs: 50 });
        await expect(first).rejects.toThrow(code("inference_deadline"));
        await expect(second).rejects.toThrow(code("model_hung"));
        await expect(model.infer([x([1, 2, 3, 4])], ample)).rejects.toThrow(code("model_hung"));
        expect(model.recovers ?? false).toBe(contract.recovers ?? false);
        if (contract.recovers === true) await expect(model.close()).resolves.toBeUndefined();
        else await expect(model.close()).rejects.toThrow(code("model_hung"));
      },
    );

    it("does not count the time in line against the deadline", async () => {
      const model = await load(contract.doublingModel());
      const runs = Array.from({ length: 200 }, () => model.infer([x([1, 2, 3, 4])], { deadlineMs: 1_000 }));
      await expect(Promise.all(runs)).resolves.toHaveLength(200);
      await model.close();
    });

    it("closes after pending runs and refuses later ones", async () => {
      const model = await load(contract.doublingModel());
      const run = model.infer([x([1, 2, 3, 4])], ample);
      const closed = model.close();
      await expect(model.infer([x([1, 2, 3, 4])], ample)).rejects.toThrow(code("model_closed"));
      await expect(run).resolves.toBeDefined();
      await closed;
    });
  });
}
