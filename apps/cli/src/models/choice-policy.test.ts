import { describe, expect, it } from "vitest";
import { parseChoicePolicy } from "./choice-policy.ts";

describe("the policy of a choice", () => {
  it("is absent unless it is asked for, and complete when it is", () => {
    expect(parseChoicePolicy(undefined, undefined)).toBeNull();
    expect(parseChoicePolicy("energy", undefined)).toEqual({ objective: "energy", accuracyFloor: null });
    expect(parseChoicePolicy(undefined, "0.95")).toEqual({ objective: "latency", accuracyFloor: 0.95 });
  });

  it("is refused with a floor that is no share", () => {
    for (const floor of ["", "much", "1.1", "-0.1", "95"])
      expect(() => parseChoicePolicy(undefined, floor)).toThrow(/accuracyFloor/u);
  });
});
