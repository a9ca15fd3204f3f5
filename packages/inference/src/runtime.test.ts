import { describe, expect, it } from "vitest";
import { createOnnxRuntime } from "./onnxruntime.ts";
import { createFakeRuntime, type FakeModel } from "./testing/fake-runtime.ts";
import type { Datatype } from "./tensor.ts";
import { doublingModel, endlessLoopModel, identityOf, indexingModel, reshapeModel } from "./testing/example-models.ts";
import { createLoneRuntime, type LoneRuntime } from "./testing/lone-runtime.ts";
import { describeRuntimeContract } from "./testing/runtime.contract.ts";

/** More than a second: a thread that a busy machine keeps from its timer for a while still finds the run under way. */
const slowModel = () => endlessLoopModel({ trips: 800_000n, shape: ["batch", 4] });

describeRuntimeContract("onnxruntime", {
  createRuntime: () => createOnnxRuntime(),
  doublingModel,
  slowModel,
  failingModel: () => reshapeModel(7n),
  identityModel: identityOf,
  refusedDatatypes: ["BF16"],
});

const lone: LoneRuntime[] = [];
describeRuntimeContract("onnxruntime for a lone client", {
  createRuntime: () => {
    const runtime = createLoneRuntime();
    lone.push(runtime);
    return runtime;
  },
  doublingModel,
  // Once as a whole, to see that it is too slow for that thread.
  slowModel,
  failingModel: indexingModel,
  identityModel: identityOf,
  refusedDatatypes: ["BF16"],
});

describe("the contract for a lone client", () => {
  it("was kept by runs on the thread of their caller", () => {
    expect(lone.reduce((sum, { inlineRuns }) => sum + inlineRuns, 0)).toBeGreaterThan(10);
  });
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

const identity = (datatype: string): FakeModel => ({
  inputs: [{ name: "x", datatype: datatype as Datatype, shape: [-1] }],
  outputs: [{ name: "y", datatype: datatype as Datatype, shape: [-1] }],
  compute: ([x]) => [{ ...x!, name: "y" }],
});
const identities = Object.fromEntries(
  ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"]
    .concat("FP16", "BF16", "FP32", "FP64", "BYTES")
    .map((datatype) => [datatype, identity(datatype)]),
);

describeRuntimeContract("fake", {
  createRuntime: () => createFakeRuntime({ ...identities, doubling, slow: { ...doubling, runMs: 500 }, failing }),
  doublingModel: () => new TextEncoder().encode("doubling"),
  slowModel: () => new TextEncoder().encode("slow"),
  failingModel: () => new TextEncoder().encode("failing"),
  identityModel: (datatype) => new TextEncoder().encode(datatype),
});
