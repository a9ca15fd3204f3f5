import { describe, expect, it } from "vitest";
import { checkMetadata, toSidecarPlacement } from "./server-model.ts";
import { toModelConfig } from "./model-config.ts";

const edge = {
  inputs: [{ name: "x", datatype: "FP32" as const, shape: [-1, 4] }],
  outputs: [{ name: "y", datatype: "INT64" as const, shape: [] }],
};
const metadata = (shape: unknown, more: readonly unknown[] = []) => ({
  name: "m",
  inputs: [{ name: "x", datatype: "FP32", shape }, ...more],
  outputs: [{ name: "y", datatype: "INT64", shape: [1] }],
});

describe("the metadata of a server", () => {
  it("may fix what the file leaves free, and offer a scalar as one element", () => {
    const checked = checkMetadata("m", edge, metadata([8, 4]));
    expect(checked.inputs[0]?.shape).toEqual([8, 4]);
    expect(checked.outputs[0]?.shape).toEqual([1]);
    expect(checkMetadata("m", edge, metadata([-1, -1])).inputs[0]?.shape).toEqual([-1, 4]);
  });

  it.each([
    ["another width", metadata([-1, 5])],
    ["another rank", metadata([4])],
    ["a shape of other things", metadata(["a", 4])],
    ["no shape", metadata(undefined)],
    ["one input more", metadata([-1, 4], [{ name: "z", datatype: "FP32", shape: [] }])],
    ["another model", { ...metadata([-1, 4]), name: "n" }],
    ["no inputs", { name: "m", outputs: [] }],
    ["nothing", null],
    ["a list", []],
  ])("is refused with %s", (_, value) => {
    expect(() => checkMetadata("m", edge, value)).toThrow(expect.objectContaining({ code: "model_load_failed" }));
  });
});

describe("the placement on a server", () => {
  it("is proved only where every instance is on the processor", () => {
    const shares = (config: unknown) => toSidecarPlacement(["npu"], config).shares;
    expect(shares({ instance_group: [{ kind: "KIND_CPU" }, { kind: "KIND_CPU" }] })).toEqual({ cpu: 1 });
    expect(shares({ instance_group: [{ kind: "KIND_CPU" }, { kind: "KIND_GPU" }] })).toBeNull();
    expect(shares({ instance_group: [{ kind: "KIND_AUTO" }] })).toBeNull();
    for (const nothing of [null, [], {}, { instance_group: [] }, { instance_group: [1] }, "KIND_CPU"])
      expect(shares(nothing)).toBeNull();
  });

  it("says what the server said when it is not proved", () => {
    const config = {
      instance_group: [{ kind: "KIND_GPU" }],
      optimization: { execution_accelerators: { gpu_execution_accelerator: [{ name: "tensorrt" }] } },
    };
    expect(toSidecarPlacement(["tensorrt"], config).proof).toContain("KIND_GPU with tensorrt");
    expect(toSidecarPlacement(["cpu"], null).proof).toContain("does not tell a model's configuration");
  });
});

describe("the configuration of a model", () => {
  it("holds names as bytes of the text format, whatever a model calls its tensors", () => {
    const text = toModelConfig({
      name: "m",
      version: 1,
      edge: { inputs: [{ name: 'a"\\\n] name: "é', datatype: "FP16", shape: [-1] }], outputs: edge.outputs },
      providers: ["tensorrt", "cpu"],
      threads: 1,
    });
    expect(text).toContain(
      'input [ { name: "a\\042\\134\\012] name: \\042\\303\\251" data_type: TYPE_FP16 dims: [ -1 ] } ]',
    );
    expect(text).toContain("dims: [ 1 ] reshape: { shape: [ ] }");
    expect(text).toContain("KIND_GPU");
    expect(text.split("\n")).toHaveLength(9);
  });
});
