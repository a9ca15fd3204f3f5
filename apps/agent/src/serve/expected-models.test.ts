import { describe, expect, it } from "vitest";
import { ExpectedModels } from "./expected-models.ts";

const reader = { slot: "reader", model: "digit-reader", version: "1.0.0" };

describe("the models that are expected", () => {
  it("are known by name and by version until their slot serves", () => {
    const expected = new ExpectedModels([reader, { ...reader, slot: "other", version: "2.0.0" }], 0);
    const has = (name: string, version: string | null) => expected.has(name, version, 1);
    expect([has("digit-reader", null), has("digit-reader", "1.0.0"), has("digit-reader", "2.0.0")]).toEqual([
      ...[true, true, true],
    ]);
    expect([has("digit-reader", "3.0.0"), has("digit", null), has("reader", null)]).toEqual([false, false, false]);
    expected.settle("reader");
    expect([has("digit-reader", null), has("digit-reader", "1.0.0")]).toEqual([true, false]);
    expected.settle("other");
    expect(has("digit-reader", null)).toBe(false);
  });

  it("are not expected for ever", () => {
    const expected = new ExpectedModels([reader], 1_000);
    expect(expected.has("digit-reader", null, 600_999)).toBe(true);
    expect(expected.has("digit-reader", null, 601_000)).toBe(false);
  });
});
