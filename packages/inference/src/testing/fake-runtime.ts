import { checkInputs } from "../check-inputs.ts";
import type { InferenceRuntime, LoadedModel } from "../port.ts";
import { RuntimeError } from "../runtime-error.ts";
import type { Tensor, TensorSpec } from "../tensor.ts";

/** What a fake model is and does. */
export interface FakeModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** How long a run takes. Default 0. */
  readonly runMs?: number;
  /** Pure; a thrown error fails the run. */
  compute(inputs: readonly Tensor[]): readonly Tensor[];
}

/** A runtime without native code: `models` maps the text of the model's bytes to what it does. Deterministic. */
export function createFakeRuntime(models: Readonly<Record<string, FakeModel>>): InferenceRuntime {
  return {
    name: "fake",
    async load(bytes, options = {}) {
      const providers = options.providers ?? ["cpu"];
      if (providers.length === 0 || providers.some((provider) => provider !== "cpu")) {
        throw new RuntimeError("provider_unknown", `offered: cpu; asked for: ${providers.join(", ")}`);
      }
      const model = models[new TextDecoder().decode(bytes)];
      if (model === undefined) throw new RuntimeError("model_load_failed", "no such fake model");
      return createFakeModel(model);
    },
  };
}

function createFakeModel(model: FakeModel): LoadedModel {
  let tail: Promise<unknown> = Promise.resolve();
  let pending = 0;
  let state: "open" | "closed" | "hung" = "open";
  const refuse = () => {
    if (state === "closed") throw new RuntimeError("model_closed", "the model is closed");
    if (state === "hung") throw new RuntimeError("model_hung", "an earlier run passed its deadline");
  };
  const run = async (inputs: readonly Tensor[], deadlineMs: number) => {
    if (state === "hung") refuse();
    const runMs = model.runMs ?? 0;
    await new Promise((resolve) => setTimeout(resolve, Math.min(runMs, deadlineMs)));
    if (runMs > deadlineMs) {
      state = "hung";
      throw new RuntimeError("inference_deadline", `the run took longer than ${deadlineMs} ms`);
    }
    try {
      return { outputs: model.compute(inputs), runUs: runMs * 1_000 };
    } catch (error) {
      throw new RuntimeError("inference_failed", String(error), error);
    }
  };
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    placement: { requestedProviders: ["cpu"], shares: { cpu: 1 }, proof: "the fake runs in this thread" },
    get pending() {
      return pending;
    },
    async infer(inputs, { deadlineMs }) {
      refuse();
      checkInputs("this model", model.inputs, inputs);
      pending += 1;
      const result = tail.then(() => run(inputs, deadlineMs));
      tail = result.catch(() => undefined);
      try {
        return await result;
      } finally {
        pending -= 1;
      }
    },
    async close() {
      if (state === "hung") refuse();
      state = "closed";
      await tail;
    },
  };
}
