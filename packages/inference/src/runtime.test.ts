import { createOnnxRuntime } from "./onnxruntime.ts";
import { createFakeRuntime, type FakeModel } from "./testing/fake-runtime.ts";
import { doublingModel, endlessLoopModel, reshapeModel } from "./testing/example-models.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

describeRuntimeContract("onnxruntime", {
  createRuntime: () => createOnnxRuntime(),
  doublingModel,
  slowModel: () => endlessLoopModel({ trips: 800_000n, shape: ["batch", 4] }),
  failingModel: () => reshapeModel(7n),
});

const doubling: FakeModel = {
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
  compute: ([x]) => [
    { name: "y", datatype: "FP32", shape: x!.shape, data: Float32Array.from(x!.data as Float32Array, (v) => v + v) },
  ],
};
const failing: FakeModel = {
  ...doubling,
  inputs: [{ name: "x", datatype: "FP32", shape: [-1] }],
  compute: () => {
    throw new Error("cannot reshape");
  },
};

describeRuntimeContract("fake", {
  createRuntime: () => createFakeRuntime({ doubling, slow: { ...doubling, runMs: 500 }, failing }),
  doublingModel: () => new TextEncoder().encode("doubling"),
  slowModel: () => new TextEncoder().encode("slow"),
  failingModel: () => new TextEncoder().encode("failing"),
});
