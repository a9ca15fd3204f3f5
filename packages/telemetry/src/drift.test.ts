import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeClassCounts, toClassVector } from "./class-counts.ts";
import { mergeConfidence, recordConfidence, toEmptyConfidence, toMeanConfidence } from "./confidence-histogram.ts";
import { toClassDrift, toJensenShannon, toStabilityIndex } from "./drift.ts";

const weights = fc.array(fc.double(), { maxLength: 12 });

describe("drift", () => {
  it("is total, bounded and symmetric for any numbers", () => {
    fc.assert(
      fc.property(weights, weights, (a, b) => {
        const forth = toJensenShannon(a, b);
        if (forth !== null) expect(forth >= 0 && forth <= 1).toBe(true);
        expect(toJensenShannon(b, a) ?? -1).toBeCloseTo(forth ?? -1, 9);
        const index = toStabilityIndex(a, b);
        if (index !== null) expect(Number.isFinite(index) && index >= 0).toBe(true);
      }),
    );
  });

  it("is 0 for equal and 1 for disjoint distributions", () => {
    expect(toJensenShannon([1, 2, 3], [10, 20, 30])).toBeCloseTo(0, 12);
    expect(toJensenShannon([1, 0], [0, 5])).toBe(1);
    expect(toClassDrift({ 1: 4, 12: 4 }, { 1: 40, 12: 40 })).toBeCloseTo(0, 12);
    expect(toStabilityIndex([100, 100], [100, 100])).toBe(0);
    expect(toStabilityIndex([100, 0], [0, 100])).toBeGreaterThan(0.25);
  });

  it("agrees with a value computed by hand", () => {
    // p = (1, 0), q = (1/2, 1/2): m = (3/4, 1/4); JS = (log2(4/3) + (log2(2/3) + log2(2)) / 2) / 2
    expect(toJensenShannon([1, 0], [1, 1])).toBeCloseTo(0.311278, 6);
  });

  it("says nothing where nothing was seen", () => {
    expect(toJensenShannon([], [1])).toBeNull();
    expect(toStabilityIndex([0, 0], [1])).toBeNull();
  });
});

describe("classes and confidence", () => {
  it("add up, and null adds nothing", () => {
    expect(mergeClassCounts({ 1: 2 }, { 1: 3, 7: 1 })).toEqual({ 1: 5, 7: 1 });
    expect(mergeClassCounts(null, { 1: 1 })).toEqual({ 1: 1 });
    expect(mergeClassCounts(null, null)).toBeNull();
    expect(toClassVector({ 0: 1, 5: 2 }, 3)).toEqual([1, 0, 0, 2]);
  });

  it("give the mean confidence over merged devices", () => {
    const [a, b] = [toEmptyConfidence(), toEmptyConfidence()];
    recordConfidence(a, 1);
    recordConfidence(b, 0.5);
    expect(recordConfidence(b, Number.NaN)).toBe(false);
    const merged = mergeConfidence(a, b);
    expect(toMeanConfidence(merged)).toBe(0.75);
    expect(merged?.bins[19]).toBe(1);
    expect(merged?.bins[10]).toBe(1);
    expect(toMeanConfidence(toEmptyConfidence())).toBeNull();
  });
});
