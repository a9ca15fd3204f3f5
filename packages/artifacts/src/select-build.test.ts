import type { BuildTarget } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findDuplicateTargets, selectBuild, type BuildCapabilities } from "./select-build.ts";
import { toBuild } from "./testing/documents.ts";

const device: BuildCapabilities = {
  arch: "arm64",
  profile: "raspberry-pi-5",
  executionProviders: ["webgpu", "cpu"],
  formats: ["onnx"],
};
const build = (name: string, target: Partial<BuildTarget>, sizeBytes = 10) =>
  toBuild({
    artifact: { digest: `sha256:${name.repeat(64)}`, sizeBytes },
    target: { executionProviders: ["cpu"], ...target },
  });
const pick = (...builds: ReturnType<typeof build>[]) => selectBuild({ builds }, device)?.artifact.digest[7];

describe("the choice of a build", () => {
  it("takes the most specific target, then the device's preferred provider, then the smaller artifact", () => {
    expect(pick(build("a", {}), build("b", { arch: ["arm64"] }), build("c", { profiles: ["raspberry-pi-5"] }))).toBe(
      "c",
    );
    expect(pick(build("a", { executionProviders: ["webgpu"] }), build("b", { arch: ["arm64"] }))).toBe("b");
    expect(pick(build("a", {}), build("b", { executionProviders: ["webgpu"] }))).toBe("b");
    expect(pick(build("a", {}, 20), build("b", {}, 10))).toBe("b");
  });

  it("is null when the device can run none", () => {
    expect(
      pick(
        build("a", { arch: ["x64"] }),
        build("b", { executionProviders: ["cuda"] }),
        build("c", { profiles: ["generic-x86"] }),
      ),
    ).toBeUndefined();
    expect(selectBuild({ builds: [build("a", {})] }, { ...device, formats: [] })).toBeNull();
  });

  const target = fc.record(
    {
      arch: fc.constantFrom<BuildTarget["arch"]>(["x64"], ["arm64"], ["x64", "arm64"]),
      profiles: fc.constantFrom<BuildTarget["profiles"]>(["raspberry-pi-5"], ["generic-x86"]),
      executionProviders: fc.subarray(["cpu", "webgpu", "cuda"] as const, { minLength: 1 }).map((list) => [...list]),
    },
    { requiredKeys: [] },
  );
  const builds = fc
    .array(target, { maxLength: 8 })
    .map((targets) =>
      targets.map((value, index) => build("0123456789abcdef"[index]!, value as Partial<BuildTarget>, 10 + (index % 2))),
    );

  it("does not depend on the order of the builds, and only takes what fits", () => {
    fc.assert(
      fc.property(builds, (list) => {
        const chosen = selectBuild({ builds: list }, device);
        expect(selectBuild({ builds: list.toReversed() }, device)).toEqual(chosen);
        if (chosen !== null) {
          expect(chosen.target.arch ?? ["arm64"]).toContain("arm64");
          expect(chosen.target.profiles ?? ["raspberry-pi-5"]).toContain("raspberry-pi-5");
        }
      }),
    );
  });

  it("never has to fall back to size or digest when no target is claimed twice", () => {
    fc.assert(
      fc.property(builds, (list) => {
        if (findDuplicateTargets(list).length > 0) return;
        const resized = list.map((item, index) => ({
          ...item,
          artifact: { ...item.artifact, sizeBytes: 1_000 - index },
        }));
        expect(selectBuild({ builds: resized }, device)?.artifact.digest).toBe(
          selectBuild({ builds: list }, device)?.artifact.digest,
        );
      }),
    );
  });

  it("names the pairs that claim the same target", () => {
    const list = [
      build("a", {}),
      build("b", { arch: ["x64", "arm64"] }),
      build("c", { arch: ["x64"] }),
      build("d", { executionProviders: ["webgpu"] }),
    ];
    expect(findDuplicateTargets(list)).toEqual([{ first: 1, second: 2 }]);
    expect(findDuplicateTargets([list[0]!, list[0]!])).toEqual([{ first: 0, second: 1 }]);
  });
});
