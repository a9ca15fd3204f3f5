import { buildSchema, type Build } from "@fairlead/protocol";
import { describe, expect, test } from "vitest";
import { describeSharedTargets } from "./shared-targets.ts";

function toBuild(letter: string, target: object): Build {
  const tensor = { name: "x", elementType: "float32", shape: [1] };
  return buildSchema.parse({
    ...{ artifact: { digest: `sha256:${letter.repeat(64)}`, sizeBytes: 10 }, format: "onnx", precision: "fp32" },
    ...{
      quantization: "none",
      target: { executionProviders: ["cpu"], ...target },
      inputs: [tensor],
      outputs: [tensor],
    },
  });
}

describe("builds for one target", () => {
  test("are named, with how a device decides between them", () => {
    const builds = [toBuild("a", { arch: ["arm64"] }), toBuild("b", {}), toBuild("c", {})];
    const choice = { objective: "latency", accuracyFloor: null } as const;
    expect(describeSharedTargets({ builds, choice })).toEqual([
      "builds.1 (sha256:bbbbbbbbbbbb…) and builds.2 (sha256:cccccccccccc…) claim the same target: a device that meets both " +
        "measures them and takes the fastest",
    ]);
    const [told] = describeSharedTargets({ builds, choice: { objective: "energy", accuracyFloor: 0.9 } });
    expect(told).toContain(
      "the fewest joules of an inference of those that reproduce at least 90 % of the golden cases",
    );
  });

  test("are none where every device meets one only", () => {
    const builds = [toBuild("a", { arch: ["arm64"] }), toBuild("b", { arch: ["x64"] })];
    expect(describeSharedTargets({ builds, choice: { objective: "latency", accuracyFloor: null } })).toEqual([]);
  });
});
