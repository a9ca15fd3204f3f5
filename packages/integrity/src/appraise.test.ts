import { describe, expect, it } from "vitest";
import type { Measurement } from "@fairlead/protocol";
import { appraise, type Baseline } from "./appraise.ts";
import { toFileBaseline } from "./file-baseline.ts";
import { toCanonicalDigest } from "./canonical-digest.ts";

const [good, bad, build, previousBuild] = [1, 2, 3, 4].map((seed) => toCanonicalDigest(seed)) as [
  string,
  string,
  string,
  string,
];
const agent: Measurement = { kind: "agent", name: "src/main.ts", expected: good, actual: good, reason: null };
const model: Measurement = { kind: "model", name: "slot/reader", expected: build, actual: build, reason: null };
const files = toFileBaseline([agent, model], 1_000);
const baseline: Baseline = { slots: { reader: { allowed: [build, previousBuild], required: true } }, files };
const context = { chain: { kind: "next" as const }, receivedAtMs: 1_000, nowMs: 2_000, maxAgeMs: 60_000 };

const judge = (measurements: Measurement[] | null, base = baseline) => appraise(base, measurements, context);

describe("appraisal", () => {
  it("verifies a device whose files are what the plane expects", () => {
    expect(judge([agent, model])).toEqual({ state: "verified", code: null, failing: [], reason: null });
    expect(judge([agent, { ...model, actual: previousBuild, expected: null }]).state).toBe("verified");
  });

  it("fails a model that was overwritten, and names it", () => {
    const tampered = { ...model, actual: bad };
    const result = judge([agent, tampered]);
    expect(result).toMatchObject({ state: "failed", code: "policy_violation", failing: [tampered] });
    expect(result.reason).toContain("slot/reader");
  });

  it("does not believe a device that claims to expect what it has", () => {
    expect(judge([agent, { ...model, expected: bad, actual: bad }]).state).toBe("failed");
    expect(judge([{ ...agent, expected: bad, actual: bad }, model]).state).toBe("failed");
  });

  it("fails unreadable, unknown and absent files", () => {
    expect(judge([agent, { ...model, actual: null, reason: "EACCES" }]).reason).toContain("EACCES");
    expect(judge([agent, model, { ...agent, name: "src/extra.ts" }]).failing).toHaveLength(1);
    expect(judge([agent, model, { ...model, name: "slot/other" }]).failing).toHaveLength(1);
    expect(judge([agent, model, { ...model, name: "elsewhere" }]).failing).toHaveLength(1);
    expect(judge([model]).failing[0]).toMatchObject({ kind: "agent", name: "src/main.ts", actual: null });
    expect(judge([agent]).failing[0]).toMatchObject({ kind: "model", name: "slot/reader" });
  });

  it("does not ask for a model that need not be there yet", () => {
    expect(judge([agent], { ...baseline, slots: { reader: { allowed: [build], required: false } } }).state).toBe(
      "verified",
    );
  });

  it("looks up names as own properties only", () => {
    expect(judge([agent, model, { ...model, name: "slot/constructor" }]).state).toBe("failed");
  });

  it("is unknown without evidence, without a full list and without a baseline", () => {
    expect(appraise(baseline, [agent, model], { ...context, chain: null }).state).toBe("unknown");
    expect(judge(null).state).toBe("unknown");
    expect(judge([]).state).toBe("unknown");
    expect(judge([agent, model], { ...baseline, files: null }).code).toBe("no_baseline");
    expect(judge([agent, { ...model, actual: bad }], { ...baseline, files: null }).state).toBe("failed");
  });

  it("is stale when the last evidence is too old", () => {
    expect(appraise(baseline, [agent, model], { ...context, nowMs: 61_001 }).state).toBe("stale");
    expect(appraise(baseline, [agent, model], { ...context, nowMs: Number.NaN }).state).toBe("stale");
  });

  it("fails a broken chain whatever the measurements say", () => {
    const chain = { kind: "gap" as const, reason: "links 3 to 4 are missing", missing: 2 };
    expect(appraise(baseline, [agent, model], { ...context, chain })).toMatchObject({
      state: "failed",
      code: "broken_evidence_chain",
    });
  });

  it("does not record what contradicts itself as a baseline", () => {
    const recorded = toFileBaseline([agent, { ...agent, name: "b", actual: bad }, model], 5);
    expect(recorded).toEqual({ trust: "first-use", recordedAtMs: 5, digests: { "agent:src/main.ts": good } });
  });
});
