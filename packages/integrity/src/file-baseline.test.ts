import type { Measurement } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { appraise } from "./appraise.ts";
import { closeBaseline, reopenBaseline, toFileBaseline, type FileBaseline, type FileGroup } from "./file-baseline.ts";

const toDigest = (letter: string) => `sha256:${letter.repeat(64)}`;
const toMeasured = (kind: Measurement["kind"], name: string, letter: string): Measurement => ({
  ...{ kind, name, expected: null, actual: toDigest(letter), reason: null },
});
const files = (agent: string, config: string, certificate: string): Measurement[] => [
  toMeasured("agent", "src/main.ts", agent),
  toMeasured("runtime", "node", agent),
  toMeasured("configuration", "config.yaml", config),
  toMeasured("configuration", "identity/device.crt", certificate),
];
const judge = (baseline: ReturnType<typeof toFileBaseline>, measured: readonly Measurement[]) => {
  const context = { chain: { kind: "next" }, receivedAtMs: 0, nowMs: 0, maxAgeMs: 1 } as const;
  const { state, failing } = appraise({ slots: {}, files: baseline }, measured, context);
  return [state, failing.map(({ name }) => name)];
};
const recorded = toFileBaseline(files("a", "b", "c"), 1);
const reopen = (baseline: FileBaseline, ...groups: FileGroup[]) => reopenBaseline(baseline, groups) ?? baseline;

describe("the files that are expected of a device", () => {
  it("are recorded anew after an upgrade, but for what people configured and whom it believes", () => {
    const upgraded = reopen(recorded, "software");
    expect(judge(upgraded, files("x", "b", "c"))).toEqual(["unknown", []]);
    expect(judge(upgraded, files("x", "y", "c"))).toEqual(["failed", ["config.yaml"]]);
    expect(judge(upgraded, files("x", "b", "y"))).toEqual(["failed", ["identity/device.crt"]]);
    const closed = closeBaseline(upgraded, files("x", "y", "c"), 2);
    expect(judge(closed, files("x", "b", "c"))).toEqual(["verified", []]);
    expect(judge(closed, files("x", "y", "c"))).toEqual(["failed", ["config.yaml"]]);
    expect(judge(closed, files("a", "b", "c"))).toEqual(["failed", ["src/main.ts", "node"]]);
  });

  it("lose those that the upgrade has no more, and miss none that it left", () => {
    const upgraded = reopen(recorded, "software");
    const rest = files("x", "b", "c").filter(({ kind }) => kind !== "runtime");
    expect(judge(upgraded, rest)).toEqual(["unknown", []]);
    expect(judge(closeBaseline(upgraded, rest, 2), rest)).toEqual(["verified", []]);
    const bare = rest.filter(({ name }) => name !== "config.yaml");
    expect(judge(closeBaseline(upgraded, bare, 2), bare)).toEqual(["failed", ["config.yaml"]]);
  });

  it("stay what they were while nothing was done to the device", () => {
    expect(closeBaseline(recorded, files("x", "y", "z"), 2)).toBe(recorded);
    const twice = reopen(reopen(recorded, "identity"), "identity");
    expect(twice.reopened).toEqual(["identity"]);
    expect(judge(twice, files("a", "b", "z"))).toEqual(["unknown", []]);
  });
});
