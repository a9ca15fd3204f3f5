import fc from "fast-check";
import { verdictSchema, type GateSpec } from "@fairlead/protocol";
import { describe, expect, test } from "vitest";
import { toCohort } from "../testing/fleet.ts";
import { toDivergence } from "./drift.ts";
import { judgeGate } from "./index.ts";

const gate = (spec: GateSpec): GateSpec => spec;
const context = (treatment = {}, control = {}, soaked = true) => ({
  evidence: { stageIndex: 0, sinceMs: 0, treatment: toCohort(treatment), control: toCohort(control) },
  soaked,
  expired: false,
});
const latency = gate({ kind: "latency", minRequests: 50, against: "control", quantile: 0.95, maxRatio: 1.5 });

describe("gates", () => {
  test.each([
    ["self-test", gate({ kind: "self-test", minPassedRatio: 1 }), { selfTestPassed: 1 }, "self_test_failed"],
    ["placement", gate({ kind: "placement", minShare: 0.9 }), { wantedShares: [null, 0.2] }, "placement_missed"],
    [
      "errors",
      gate({ kind: "errors", minRequests: 50, against: "absolute", maxRatio: 0.01 }),
      { errorRatio: 0.02 },
      "errors_too_high",
    ],
    [
      "errors",
      gate({ kind: "errors", minRequests: 50, against: "control", maxIncrease: 0.01 }),
      { errorRatio: 0.02 },
      "errors_too_high",
    ],
    ["latency", latency, { latencyMs: { "0.95": 8 } }, "latency_too_high"],
    [
      "confidence",
      gate({ kind: "confidence", minRequests: 50, against: "control", maxDrop: 0.1 }),
      { meanConfidence: 0.8 },
      "confidence_too_low",
    ],
    [
      "drift",
      gate({ kind: "drift", minRequests: 50, against: "control", maxDivergence: 0.1 }),
      { classCounts: { "1": 9 } },
      "classes_drifted",
    ],
    [
      "drift",
      gate({ kind: "drift", minRequests: 50, against: "absolute", expected: [0.5, 0.5], maxDivergence: 0.1 }),
      { classCounts: { "7": 9 } },
      "classes_drifted",
    ],
    [
      "agreement",
      gate({ kind: "agreement", minRequests: 50, minRatio: 0.95 }),
      { agreement: { compared: 50, agreed: 40 } },
      "agreement_too_low",
    ],
    [
      "energy",
      gate({ kind: "energy", minRequests: 50, against: "control", maxRatio: 1.2 }),
      { joulesPerInference: 0.02 },
      "energy_too_high",
    ],
    [
      "energy",
      gate({ kind: "energy", minRequests: 50, against: "absolute", maxJ: 0.015 }),
      { joulesPerInference: 0.02 },
      "energy_too_high",
    ],
  ])("%s passes what is good only after the soak and stops what is bad at once", (...[, spec, bad, code]) => {
    expect(judgeGate(spec, context())).toMatchObject({ kind: "pass" });
    expect(judgeGate(spec, context({}, {}, false))).toMatchObject({ kind: "wait" });
    expect(judgeGate(spec, context(bad, {}, false))).toMatchObject({ kind: "fail", code });
  });

  test("missing evidence waits, and fails when the wait is over", () => {
    expect(judgeGate(latency, context({ requests: 49 }))).toMatchObject({ kind: "wait", code: "evidence_missing" });
    expect(judgeGate(latency, context({}, { requests: 0 }))).toMatchObject({ kind: "wait" });
    expect(judgeGate(latency, { ...context({ latencyMs: null }), expired: true })).toMatchObject({
      kind: "fail",
      code: "evidence_timeout",
    });
    expect(judgeGate(latency, { ...context(), evidence: null })).toMatchObject({ kind: "wait" });
  });

  test("a number that is not finite fails", () => {
    expect(judgeGate(latency, context({}, { latencyMs: { "0.95": 0 } }))).toMatchObject({ code: "not_finite" });
    expect(judgeGate(latency, context({ latencyMs: { "0.95": Number.NaN } }))).toMatchObject({ code: "not_finite" });
  });

  test("whatever the evidence holds, the answer fits the wire", () => {
    const number = fc.oneof(fc.double(), fc.integer({ min: 0, max: 1_000 }));
    const cohort = fc.record({
      devices: number,
      requests: number,
      errorRatio: fc.option(number),
      latencyMs: fc.option(fc.constant({ "0.95": 3 })),
      meanConfidence: fc.option(number),
      classCounts: fc.option(fc.dictionary(fc.constantFrom("0", "1", "9"), number)),
      selfTestPassed: number,
      selfTestTotal: number,
      agreement: fc.option(fc.record({ compared: number, agreed: number })),
      joulesPerInference: fc.option(number),
      wantedShares: fc.array(fc.option(number), { maxLength: 3 }),
    });
    const specs = fc.constantFrom(
      latency,
      gate({ kind: "self-test", minPassedRatio: 0.5 }),
      gate({ kind: "placement", minShare: 0.5 }),
      gate({ kind: "agreement", minRequests: 50, minRatio: 0.9 }),
      gate({ kind: "energy", minRequests: 50, against: "control", maxRatio: 1.1 }),
      gate({ kind: "errors", minRequests: 50, against: "control", maxIncrease: 0.01 }),
      gate({ kind: "confidence", minRequests: 50, against: "absolute", minMean: 0.8 }),
      gate({ kind: "drift", minRequests: 50, against: "control", maxDivergence: 0.1 }),
    );
    fc.assert(
      fc.property(
        specs,
        cohort,
        cohort,
        fc.boolean(),
        fc.boolean(),
        (...[spec, treatment, control, soaked, expired]) => {
          const verdict = judgeGate(spec, {
            evidence: { stageIndex: 0, sinceMs: 0, treatment, control },
            soaked,
            expired,
          });
          expect(verdictSchema.safeParse(verdict).success).toBe(true);
          if (!soaked) expect(verdict.kind).not.toBe("pass");
          if (expired) expect(verdict.kind === "wait" && verdict.code === "evidence_missing").toBe(false);
        },
      ),
    );
  });
});

describe("the divergence", () => {
  test("is 0 for equal shapes, 1 for disjoint ones, and known in between", () => {
    const of = (...weights: number[]) => new Map(weights.entries());
    expect(toDivergence(of(1, 1), of(5, 5))).toBe(0);
    expect(toDivergence(of(1, 0), of(0, 1))).toBe(1);
    // By hand: m = (0.75, 0.25); 0.5·log2(1/0.75) + 0.5·(0.5·log2(0.5/0.75) + 0.5·log2(0.5/0.25)).
    expect(toDivergence(of(1, 0), of(1, 1))).toBeCloseTo(0.311278, 6);
    expect(toDivergence(of(0, 0), of(1, 1))).toBeNaN();
    expect(toDivergence(of(-1, 2), of(1, 1))).toBeNaN();
  });
});
