import { describe, expect, it } from "vitest";
import { parseGate } from "./parse-gate.ts";
import { parseStages } from "./parse-stages.ts";
import { toRolloutSpec } from "./to-spec.ts";

describe("stages", () => {
  it("reads shares and selectors, with braces where a selector has commas", () => {
    expect(parseStages("canary=role=canary,pair={site=berlin,arch in (x64,arm64)},half=50%,all=100%")).toEqual([
      { name: "canary", target: { kind: "selector", selector: "role=canary" } },
      { name: "pair", target: { kind: "selector", selector: "site=berlin,arch in (x64,arm64)" } },
      { name: "half", target: { kind: "percent", percent: 50 } },
      { name: "all", target: { kind: "percent", percent: 100 } },
    ]);
  });

  it("asks for the unit of a bare number", () => {
    expect(() => parseStages("all=100")).toThrow(expect.objectContaining({ hint: "write all=100%" }));
  });

  it.each(["", "canary", "=10%", "Canary=10%", "a=10%,,b=20%"])("refuses %j", (text) => {
    expect(() => parseStages(text)).toThrow(expect.objectContaining({ code: "usage" }));
  });
});

describe("gates", () => {
  it.each([
    ["self-test>=1", { kind: "self-test", minPassedRatio: 1 }],
    ["errors<=1%", { kind: "errors", against: "absolute", maxRatio: 0.01, minRequests: 50 }],
    ["errors-increase<=0.005@200", { kind: "errors", against: "control", maxIncrease: 0.005, minRequests: 200 }],
    ["confidence>=0.6", { kind: "confidence", against: "absolute", minMean: 0.6, minRequests: 50 }],
    ["confidence-drop <= 0.1", { kind: "confidence", against: "control", maxDrop: 0.1, minRequests: 50 }],
    ["latency-p95<=40ms", { kind: "latency", against: "absolute", quantile: 0.95, maxMs: 40, minRequests: 50 }],
    ["latency-p99.9<=1s", { kind: "latency", against: "absolute", quantile: 0.999, maxMs: 1_000, minRequests: 50 }],
    [
      "latency-p95-ratio<=1.2x",
      { kind: "latency", against: "control", quantile: 0.95, maxRatio: 1.2, minRequests: 50 },
    ],
    ["agreement>=95%", { kind: "agreement", minRatio: 0.95, minRequests: 50 }],
    ["energy<=0.5j", { kind: "energy", against: "absolute", maxJ: 0.5, minRequests: 50 }],
    ["energy-ratio<=1.2", { kind: "energy", against: "control", maxRatio: 1.2, minRequests: 50 }],
    ["drift<=0.1", { kind: "drift", against: "control", maxDivergence: 0.1, minRequests: 50 }],
  ])("reads %s", (text, spec) => {
    expect(parseGate(text)).toEqual({ stages: [], spec });
  });

  it("reads the stages that a gate is for", () => {
    expect(parseGate("canary,half:confidence-drop<=0.1").stages).toEqual(["canary", "half"]);
  });

  it.each([
    ["confidence<=0.6", "bounded with >="],
    ["latency<=40ms", "name the quantile"],
    ["errors-p95<=1%", "no metric"],
    ["latency-p95<=40%", "does not fit"],
    ["errors<=2", "too big"],
    ["throughput>=5", "no metric"],
    ["errors", "not understood"],
    ["constructor<=1", "no metric"],
  ])("refuses %s and says why", (text, why) => {
    expect(() => parseGate(text)).toThrow(new RegExp(why, "iu"));
  });
});

describe("a whole rollout", () => {
  const flags = {
    model: "digit-reader",
    version: "1.1.0",
    slot: "reader",
    selector: "site=lab",
    stages: "canary=10%,all=100%",
    gate: ["self-test>=1", "canary:confidence-drop<=0.1"],
    soak: "3s",
    maxFailures: "5%",
  };

  it("gives each stage its own gates and the common policy", () => {
    const spec = toRolloutSpec(flags);
    expect(spec.stages.map((stage) => stage.gates.map((gate) => gate.kind))).toEqual([
      ["self-test", "confidence"],
      ["self-test"],
    ]);
    expect(spec.stages[0]).toMatchObject({
      soakMs: 3_000,
      maxFailures: { count: null, ratio: 0.05 },
      approval: "automatic",
    });
    expect(spec).toMatchObject({ control: null, onFailure: "rollback" });
  });

  it("names the nearest stage when a gate names one that is not there", () => {
    expect(() => toRolloutSpec({ ...flags, gate: ["canry:errors<=1%"] })).toThrow(
      expect.objectContaining({ hint: 'did you mean "canary"?' }),
    );
  });

  it("reports every bad field at once", () => {
    expect(() => toRolloutSpec({ ...flags, version: "one", slot: "A B" })).toThrow(/slot[\s\S]*version/u);
  });
});

describe("shadows", () => {
  const flags = { model: "m", version: "1.0.0", slot: "reader", selector: "", stages: "beside=10%,all=100%", gate: [] };

  it("turns a stage into one that runs the version beside what serves, and asks for agreement there alone", () => {
    const { stages } = toRolloutSpec({ ...flags, shadow: ["beside=25%"], gate: ["agreement>=0.9", "errors<=1%"] });
    expect(stages.map(({ shadow }) => shadow?.share ?? null)).toEqual([0.25, null]);
    expect(stages.map(({ gates }) => gates.map(({ kind }) => kind))).toEqual([["agreement", "errors"], ["errors"]]);
  });

  it.each(["beside=25", "=10%", "beside=%"])("refuses %j", (text) => {
    expect(() => toRolloutSpec({ ...flags, shadow: [text] })).toThrow(expect.objectContaining({ code: "usage" }));
  });

  it("refuses a stage that is not there, and says which was meant", () => {
    expect(() => toRolloutSpec({ ...flags, shadow: ["besides=10%"] })).toThrow(/--shadow names the stage "besides"/u);
  });
});
