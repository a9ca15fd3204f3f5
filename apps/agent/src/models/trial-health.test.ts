import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTrialHealth, type TrialCounts } from "./trial-health.ts";

describe("the health of a build on trial", () => {
  it("is bad with five errors of its own that are more than a twentieth of its requests, and says how many", () => {
    const health = createTrialHealth();
    health.begin();
    expect(health.add({ requests: 40, errors: 4 })).toBeNull();
    expect(health.add({ requests: 10, errors: 1 })).toBe("5 of 50 requests failed in the model");
  });

  it("is not bad for a few errors among many requests, nor for what came before the trial", () => {
    const health = createTrialHealth();
    expect(health.add({ requests: 10, errors: 4 })).toBeNull();
    health.begin();
    expect(health.add({ requests: 100, errors: 5 })).toBeNull();
    expect(health.add({ requests: 0, errors: 1 })).toBe("6 of 100 requests failed in the model");
  });

  it("depends on what was counted in all, however it was cut into portions", () => {
    const portion = fc.record({ requests: fc.nat(200), errors: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(portion, { minLength: 1, maxLength: 20 }), (portions: TrialCounts[]) => {
        const health = createTrialHealth();
        const last = portions.map((counts) => health.add(counts)).at(-1);
        const requests = portions.reduce((sum, counts) => sum + counts.requests, 0);
        const errors = portions.reduce((sum, counts) => sum + counts.errors, 0);
        const whole = createTrialHealth().add({ requests, errors });
        expect(last).toBe(whole);
      }),
    );
  });
});
