import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { listCandidates, selectBuild } from "./select-build.ts";
import { chooseBuild, type BuildMeasurement, type ResolvedChoicePolicy } from "./select-measured.ts";
import { toBuild } from "./testing/documents.ts";

const toDigest = (name: string) => `sha256:${name.repeat(64)}`;
const ratio = fc.constantFrom(null, 0, 0.3, 0.5, 0.9, 1, Number.NaN, 1.5);
const amount = fc.constantFrom(0, 1e-6, 2e-6, 20, 31.5, Number.NaN, -1, Number.POSITIVE_INFINITY);
const measurement = (name: string): fc.Arbitrary<BuildMeasurement> =>
  fc.record({
    digest: fc.constant(toDigest(name)),
    sizeBytes: fc.constantFrom(10, 20),
    latencyUs: fc.option(fc.record({ p50: amount, p99: amount })),
    joulesPerInference: fc.oneof(
      fc.record({ value: amount }),
      fc.constant({ value: null, reason: "no sensor" } as const),
    ),
    accuracyRatio: ratio,
    agreementRatio: ratio,
    failure: fc.constantFrom(null, null, null, "crash"),
  });
const measurements = fc.subarray(["a", "b", "c", "d"]).chain((names) => fc.tuple(...names.map(measurement)));
const policy: fc.Arbitrary<ResolvedChoicePolicy> = fc.record({
  objective: fc.constantFrom("latency", "energy", "accuracy"),
  accuracyFloor: fc.constantFrom(null, 0, 0.5, 1),
});

const toMeasured = (name: string, change: Partial<BuildMeasurement> = {}): BuildMeasurement => ({
  digest: toDigest(name),
  sizeBytes: 10,
  latencyUs: { p50: 20, p99: 40 },
  joulesPerInference: { value: 0.001 },
  accuracyRatio: 1,
  agreementRatio: 1,
  failure: null,
  ...change,
});

describe("the choice among measured builds", () => {
  it("never takes a build that failed, is below the floor or lacks the number that is compared", () => {
    fc.assert(
      fc.property(measurements, policy, (list, rules) => {
        const { chosen, verdicts } = chooseBuild(list, rules);
        expect(verdicts.map(({ digest }) => digest)).toEqual(list.map(({ digest }) => digest));
        expect(verdicts.filter(({ kind }) => kind === "chosen")).toHaveLength(chosen === null ? 0 : 1);
        const winner = list.find(({ digest }) => digest === chosen);
        if (winner === undefined) return;
        expect(winner.failure).toBeNull();
        if (rules.accuracyFloor !== null)
          expect(winner.accuracyRatio ?? -1).toBeGreaterThanOrEqual(rules.accuracyFloor);
        if (rules.objective === "latency") expect(Number.isFinite(winner.latencyUs?.p50)).toBe(true);
        if (rules.objective === "energy") expect(winner.joulesPerInference.value).not.toBeNull();
        if (rules.objective === "accuracy") expect(winner.accuracyRatio).not.toBeNull();
      }),
    );
  });

  it("does not depend on the order, and nothing that passed beats what was chosen", () => {
    fc.assert(
      fc.property(measurements, policy, (list, rules) => {
        const { chosen, verdicts } = chooseBuild(list, rules);
        expect(chooseBuild(list.toReversed(), rules).chosen).toBe(chosen);
        const winner = list.find(({ digest }) => digest === chosen);
        for (const loser of list.filter((_, at) => verdicts[at]?.kind === "lost")) {
          if (rules.objective === "latency")
            expect(loser.latencyUs!.p50).toBeGreaterThanOrEqual(winner!.latencyUs!.p50);
          if (rules.objective === "accuracy") expect(loser.accuracyRatio).toBeLessThanOrEqual(winner!.accuracyRatio!);
          expect(chooseBuild([loser], rules).chosen).toBe(loser.digest);
        }
      }),
    );
  });

  it("fails closed: nothing is chosen when nothing passes, and each build says why", () => {
    const rules = { objective: "energy", accuracyFloor: 0.9 } as const;
    const list = [
      toMeasured("a", { failure: "crash: SIGSEGV" }),
      toMeasured("b", { accuracyRatio: 0.3 }),
      toMeasured("c", { joulesPerInference: { value: null, reason: "no sensor" } }),
      toMeasured("d", { accuracyRatio: null }),
    ];
    expect(chooseBuild(list, rules)).toEqual({
      chosen: null,
      verdicts: [
        { digest: toDigest("a"), kind: "failed", reason: "crash: SIGSEGV" },
        { digest: toDigest("b"), kind: "excluded", reason: "accuracy 30 % is below the floor of 90 %" },
        { digest: toDigest("c"), kind: "excluded", reason: "J/inference is unknown: no sensor" },
        { digest: toDigest("d"), kind: "excluded", reason: "accuracy is unknown, and the policy has a floor" },
      ],
    });
    expect(chooseBuild([], rules)).toEqual({ chosen: null, verdicts: [] });
  });

  it("settles a tie by size, then by digest", () => {
    const rules = { objective: "accuracy", accuracyFloor: null } as const;
    const [a, b, c] = [toMeasured("a", { sizeBytes: 11 }), toMeasured("b"), toMeasured("c")];
    for (const list of [
      [a, b, c],
      [c, b, a],
      [b, a, c],
    ])
      expect(chooseBuild(list, rules).chosen).toBe(b.digest);
  });

  it("has as candidates what the device can run, smallest first, each artifact once, and nothing that its memory cannot hold", () => {
    const device = { arch: "x64", profile: "generic-x86", executionProviders: ["cpu"], formats: ["onnx"] } as const;
    const build = (name: string, sizeBytes: number) => toBuild({ artifact: { digest: toDigest(name), sizeBytes } });
    const builds = [
      build("a", 30_000_000),
      build("b", 10),
      build("b", 10),
      toBuild({ target: { executionProviders: ["cuda"] } }),
    ];
    expect(listCandidates({ builds }, device).map(({ artifact }) => artifact.digest[7])).toEqual(["b", "a"]);
    const small = { ...device, memoryBytes: 96 * 1_048_576 };
    expect(listCandidates({ builds }, small).map(({ artifact }) => artifact.digest[7])).toEqual(["b"]);
    expect(selectBuild({ builds: [builds[0]!] }, small)).toBeNull();
  });
});
