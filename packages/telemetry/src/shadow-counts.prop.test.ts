import { shadowComparisonSchema } from "@fairlead/protocol";
import fc from "fast-check";
import { expect, it } from "vitest";
import { mergeShadows, ShadowCounts, type Compared } from "./shadow-counts.ts";

const compared = fc.record<Compared>({
  agreed: fc.boolean(),
  difference: fc.oneof(fc.constant(null), fc.double({ min: 0 }), fc.constant(Number.NaN)),
  activeRunUs: fc.double({ min: 0, max: 1e7, noNaN: true }),
});
const toCounts = (all: readonly Compared[]): ShadowCounts => {
  const counts = new ShadowCounts();
  for (const one of all) counts.recordCompared(one);
  return counts;
};

it("counts the same in one window as in two that are merged, in either order, and always fits the wire", () => {
  fc.assert(
    fc.property(fc.array(compared, { maxLength: 40 }), fc.array(compared, { maxLength: 40 }), (first, second) => {
      const whole = toCounts([...first, ...second]).take();
      const parts = [toCounts(first).take(), toCounts(second).take()] as const;
      expect(shadowComparisonSchema.parse(whole)).toEqual(whole);
      const { activeLatencyUs: together, ...counts } = whole;
      for (const merged of [mergeShadows(parts[0], parts[1]), mergeShadows(parts[1], parts[0])]) {
        expect(merged).toMatchObject(counts);
        expect(merged?.activeLatencyUs.sum).toBeCloseTo(together.sum, 0);
        expect(merged?.activeLatencyUs).toMatchObject({ min: together.min, max: together.max });
      }
    }),
  );
});

it("starts at zero after each take, and stays nothing where no build was a shadow", () => {
  const counts = toCounts([{ agreed: true, difference: 0.5, activeRunUs: 10 }]);
  counts.recordSkipped();
  expect(counts.take()).toMatchObject({ skipped: 1, compared: 1, agreed: 1, maxDifference: 0.5 });
  expect(counts.take()).toMatchObject({ skipped: 0, compared: 0, agreed: 0, maxDifference: null });
  expect(mergeShadows(undefined, null)).toBeNull();
});
