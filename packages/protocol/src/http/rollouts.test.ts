import { expect, it } from "vitest";
import { gateSpecSchema, rolloutSpecSchema } from "./rollouts.ts";

it.each([
  { kind: "self-test", minPassedRatio: 1 },
  { kind: "errors", against: "absolute", maxRatio: 0.01 },
  { kind: "errors", against: "control", maxIncrease: 0.01 },
  { kind: "latency", against: "absolute", quantile: 0.95, maxMs: 20 },
  { kind: "latency", against: "control", quantile: 0.95, maxRatio: 1.5 },
  { kind: "confidence", against: "absolute", minMean: 0.6 },
  { kind: "confidence", against: "control", maxDrop: 0.1 },
  { kind: "drift", against: "absolute", expected: [0.5, 0.5], maxDivergence: 0.1 },
  { kind: "drift", against: "control", maxDivergence: 0.1 },
])("admits the gate $kind against $against", (gate) => {
  expect(gateSpecSchema.parse(gate)).toMatchObject(gate);
});

it("refuses a gate whose threshold belongs to the other comparison", () => {
  expect(gateSpecSchema.safeParse({ kind: "errors", against: "control", maxRatio: 0.01 }).success).toBe(false);
  expect(gateSpecSchema.safeParse({ kind: "confidence", minMean: 0.6 }).success).toBe(false);
});

it("fills the defaults of a stage", () => {
  const stages = [{ name: "all", target: { kind: "percent", percent: 100 } }];
  const spec = rolloutSpecSchema.parse({ slot: "main", model: "m", version: "1.0.0", selector: "", stages });
  expect(spec.stages[0]).toMatchObject({ successRatio: 1, approval: "automatic", gates: [] });
  expect(spec.stages[0]?.maxFailures).toEqual({ count: 0, ratio: null });
});
