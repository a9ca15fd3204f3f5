import { createOnnxRuntime } from "./onnxruntime.ts";
import { createFakeRuntime, type FakeModel } from "./testing/fake-runtime.ts";
import { buildOnnxModel, type WrittenValue } from "./testing/onnx-writer.ts";
import { endlessLoopModel } from "./testing/example-models.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

const edge = (name: string, shape: WrittenValue["shape"]): WrittenValue => ({ name, type: "float32", shape });

describeRuntimeContract("onnxruntime", {
  createRuntime: () => createOnnxRuntime(),
  doublingModel: () =>
    buildOnnxModel({
      graph: {
        nodes: [{ op: "Add", inputs: ["x", "x"], outputs: ["y"] }],
        inputs: [edge("x", ["batch", 4])],
        outputs: [edge("y", ["batch", 4])],
      },
    }),
  slowModel: () => endlessLoopModel({ trips: 800_000n, shape: ["batch", 4] }),
  failingModel: () =>
    buildOnnxModel({
      graph: {
        nodes: [{ op: "Reshape", inputs: ["x", "shape"], outputs: ["y"] }],
        initializers: [{ name: "shape", type: "int64", dims: [1], data: BigInt64Array.of(7n) }],
        inputs: [edge("x", ["n"])],
        outputs: [edge("y", ["m"])],
      },
    }),
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
