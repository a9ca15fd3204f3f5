import type { Build, ModelVersion } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSlotRecord, toInstalledBuild, type SlotRecord } from "../slot-record.ts";
import { createEntry, toFailed, type ChoiceEntry, type Measurement } from "./choice-record.ts";
import { decideChoice, toPolicy } from "./decide.ts";
import { isToSwitch } from "./switch-build.ts";

const digest = (n: number) => `sha256:${String(n).repeat(64)}`;
const releaseId = `rel-${"0".repeat(25)}1`;
const builds = [1, 2, 3, 4, 5].map((n): Build => ({
  artifact: { digest: digest(n), sizeBytes: n },
  format: "onnx",
  precision: "int8",
  quantization: "qdq",
  target: { executionProviders: ["cpu"] },
  inputs: [],
  outputs: [],
}));
const golden = { digest: digest(9), sizeBytes: 1 };
const toContent = (rest: Partial<ModelVersion> = {}): ModelVersion => ({
  model: "reader",
  version: "1.0.0",
  description: "",
  classification: null,
  builds,
  selfTest: { golden: null, latencyP95Ms: null, repeats: 1 },
  ...rest,
});
const none = { objective: null, accuracyFloor: null };
const request = { slot: "main", releaseId, content: toContent(), candidates: builds };
const measured = (n: number, p50: number | null): Measurement => ({
  ...toFailed(builds[n - 1] as Build, "crash: it ended"),
  ...(p50 === null ? {} : { latencyUs: { p50, p99: p50 }, failure: null, runs: 3 }),
});
const latency = { objective: "latency", accuracyFloor: null } as const;
const decide = (entry: Partial<ChoiceEntry>) => decideChoice(request, { ...createEntry(digest(0)), ...entry }, latency);

describe("the policy in force", () => {
  it("is the release's unless the device says more, and the device only raises the floor", () => {
    const release = { objective: "energy", accuracyFloor: 0.9 } as const;
    const content = toContent({ choice: release });
    expect(toPolicy(content, none)).toEqual({ policy: release, policyFrom: "release" });
    expect(toPolicy(content, { objective: "latency", accuracyFloor: 0.5 })).toEqual({
      policy: { objective: "latency", accuracyFloor: 0.9 },
      policyFrom: "device",
    });
    expect(toPolicy(content, { objective: null, accuracyFloor: 0.95 }).policy.accuracyFloor).toBe(0.95);
  });

  it("asks for every golden case where nobody names a floor, and for nothing without a golden set", () => {
    const withGolden = toContent({ selfTest: { golden, latencyP95Ms: null, repeats: 1 } });
    expect(toPolicy(withGolden, none)).toEqual({
      policy: { objective: "latency", accuracyFloor: 1 },
      policyFrom: "default",
    });
    expect(toPolicy(toContent(), none).policy.accuracyFloor).toBeNull();
  });
});

describe("deciding from the numbers", () => {
  it("waits until the first four candidates are measured or left out, and names the fifth", () => {
    const open = decide({ measured: [measured(1, 5), measured(2, null), measured(3, 7)] });
    expect(open).toMatchObject({ complete: false, chosen: null });
    expect(open.candidates.map(({ verdict }) => verdict)).toEqual([
      ...["waiting", "failed", "waiting", "waiting", "not-measured"],
    ]);
    const skipped = [{ digest: digest(4), reason: "the disk is full" }];
    const done = decide({ measured: [measured(1, 5), measured(2, null), measured(3, 7)], skipped });
    expect(done.chosen?.artifact.digest).toBe(digest(1));
    expect(done.candidates.map(({ verdict }) => verdict)).toEqual([
      ...["chosen", "failed", "lost", "not-measured", "not-measured"],
    ]);
    expect(done.candidates.map(({ reason }) => reason)).toEqual([
      "best latency of 2",
      "crash: it ended",
      "p50 7.0 µs, the chosen build 5.0 µs",
      "the disk is full",
      "larger than the first four of 5 candidates",
    ]);
    expect(done.candidates[1]).toMatchObject({ latencyUs: null, joulesPerInference: { value: null } });
  });

  it("names every candidate once and chooses one that passed, whatever was measured in whatever order", () => {
    const numbers = fc.array(fc.option(fc.integer({ min: 1, max: 9 })), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(numbers, fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }), (p50s, order) => {
        const all = order.map((at) => measured(at + 1, p50s[at] ?? null));
        const { complete, chosen, candidates } = decide({ measured: all });
        const best = Math.min(...p50s.flatMap((p50) => p50 ?? []));
        expect(complete).toBe(true);
        expect(candidates.map(({ buildDigest }) => buildDigest)).toEqual(builds.map(({ artifact }) => artifact.digest));
        expect(candidates.filter(({ verdict }) => verdict === "chosen").map(({ buildDigest }) => buildDigest)).toEqual(
          chosen === null ? [] : [chosen.artifact.digest],
        );
        expect(chosen?.artifact.sizeBytes ?? 0).toBe(p50s.indexOf(best) + 1);
      }),
    );
  });
});

it("switches only a slot that fulfilled this very request with another build of the release", () => {
  const job = { releaseId, rolloutId: null, attempt: 1 };
  const toInstalled = (n: number) => toInstalledBuild(releaseId, request.content, builds[n - 1] as Build);
  const wish = { kind: "install", job, build: toInstalled(2), soakMs: 0 } as const;
  const ended = { ...job, state: "succeeded", code: null, reason: null, selfTest: null } as const;
  const record: SlotRecord = { ...createSlotRecord("main"), active: toInstalled(1), job: ended };
  expect(isToSwitch(record, wish)).toBe(true);
  expect(isToSwitch({ ...record, job: { ...ended, state: "already_installed" } }, wish)).toBe(true);
  const others: SlotRecord[] = [
    { ...record, active: toInstalled(2) },
    { ...record, active: null },
    { ...record, active: { ...toInstalled(1), releaseId: `rel-${"0".repeat(25)}2` } },
    { ...record, job: null },
    { ...record, job: { ...ended, state: "rolled_back" } },
    { ...record, job: { ...ended, state: "soaking" } },
    { ...record, job: { ...ended, attempt: 2 } },
  ];
  for (const other of others) expect(isToSwitch(other, wish)).toBe(false);
  expect(isToSwitch(record, { kind: "choose", job, request, soakMs: 0 })).toBe(false);
});
