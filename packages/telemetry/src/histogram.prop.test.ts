import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exponentialHistogramSchema, type ExponentialHistogramData } from "@fairlead/protocol";
import { ExponentialHistogram, toEmptyHistogram } from "./exponential-histogram.ts";
import { mergeHistograms } from "./merge-histograms.ts";
import { toCount, toMean, toQuantile, toRelativeError } from "./quantile.ts";

/** Whole microseconds add up exactly, so that merges can be compared with `toEqual`. */
const latencies = fc.array(fc.oneof(fc.nat(1_000), fc.nat(1_000_000_000)), { maxLength: 120 });
const anyPositive = fc.array(fc.double({ min: 0, max: 1e15, noNaN: true }), { minLength: 1, maxLength: 200 });

function toHistogram(values: readonly number[]): ExponentialHistogramData {
  const histogram = new ExponentialHistogram();
  for (const value of values) histogram.record(value);
  return histogram.toData();
}

describe("exponential histogram", () => {
  it("always fits the wire schema and loses no value", () => {
    fc.assert(
      fc.property(anyPositive, (values) => {
        const data = exponentialHistogramSchema.parse(toHistogram(values));
        expect(toCount(data)).toBe(values.length);
        expect(data.min).toBe(Math.min(...values));
        expect(data.max).toBe(Math.max(...values));
      }),
    );
  });

  it("gives every quantile within the relative error that its scale promises", () => {
    fc.assert(
      fc.property(anyPositive, fc.double({ min: 0, max: 1, noNaN: true }), (values, q) => {
        const data = toHistogram(values);
        const sorted = values.toSorted((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil(q * values.length)) - 1]!;
        const estimate = toQuantile(data, q)!;
        const slack = 1 + 1e-9;
        expect(Math.abs(estimate - exact)).toBeLessThanOrEqual(exact * toRelativeError(data.scale) * slack + 1e-300);
      }),
    );
  });

  it("stays within 2.2 % for latencies that spread over a factor of thirty", () => {
    const data = toHistogram(Array.from({ length: 10_000 }, (_, index) => 1_000 + index * 3));
    expect(toRelativeError(data.scale)).toBeLessThan(0.022);
  });

  it("merges commutatively and associatively", () => {
    fc.assert(
      fc.property(latencies, latencies, latencies, (x, y, z) => {
        const [a, b, c] = [toHistogram(x), toHistogram(y), toHistogram(z)];
        expect(mergeHistograms(a, b)).toEqual(mergeHistograms(b, a));
        expect(mergeHistograms(mergeHistograms(a, b), c)).toEqual(mergeHistograms(a, mergeHistograms(b, c)));
      }),
    );
  });

  it("merges to what one histogram of all values holds", () => {
    fc.assert(
      fc.property(latencies, latencies, (x, y) => {
        expect(mergeHistograms(toHistogram(x), toHistogram(y))).toEqual(toHistogram([...x, ...y]));
      }),
    );
  });

  it("is unchanged by merging nothing into it", () => {
    fc.assert(
      fc.property(latencies, (values) => {
        const data = toHistogram(values);
        expect(mergeHistograms(data, toEmptyHistogram())).toEqual(data);
      }),
    );
  });

  it("merges data of any legal form into data of legal form", () => {
    const foreign = fc
      .record({
        scale: fc.integer({ min: -10, max: 20 }),
        zeroCount: fc.nat(5),
        offset: fc.integer({ min: -20_000, max: 20_000 }),
        counts: fc.array(fc.nat(Number.MAX_SAFE_INTEGER), { maxLength: 160 }),
      })
      .map((data) => ({ ...data, sum: 1, min: 0, max: 1 }));
    fc.assert(
      fc.property(foreign, foreign, (a, b) => {
        expect(exponentialHistogramSchema.safeParse(mergeHistograms(a, b)).success).toBe(true);
      }),
    );
  });

  it("counts zero apart and refuses what is no measurement", () => {
    const histogram = new ExponentialHistogram();
    expect([Number.NaN, Number.POSITIVE_INFINITY, -1].map((value) => histogram.record(value))).toEqual([
      false,
      false,
      false,
    ]);
    expect(histogram.toData()).toEqual(toEmptyHistogram());
    expect(toQuantile(histogram.toData(), 0.5)).toBeNull();
    expect(toMean(histogram.toData())).toBeNull();
    histogram.record(0);
    expect(histogram.toData()).toMatchObject({ zeroCount: 1, counts: [], min: 0, max: 0 });
    expect(toQuantile(histogram.toData(), 0.99)).toBe(0);
  });

  it("puts a power of two at the upper end of its bucket", () => {
    const data = toHistogram([1]);
    expect(data.offset).toBe(-1);
    expect(toQuantile(data, 1)).toBe(1);
  });

  it("starts afresh after clear", () => {
    const histogram = new ExponentialHistogram();
    for (const value of [1, 1e15, 5e-324]) histogram.record(value);
    histogram.clear();
    expect(histogram.toData()).toEqual(toEmptyHistogram());
  });
});
