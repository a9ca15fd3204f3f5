import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideReturn, noteFailure, noteReturn, toReturnDelayMs, type ReturnState } from "./return-plan.ts";

const policies = fc
  .tuple(fc.integer({ min: 100, max: 60_000 }), fc.integer({ min: 1, max: 500 }))
  .map(([firstMs, factor]) => ({ firstMs, maxMs: firstMs * factor }));
const random = fc.double({ min: 0, max: 0.999_999, noNaN: true });

describe("the return to an accelerator", () => {
  it("waits between the bounds, longer after each failure, and then tries", () => {
    fc.assert(
      fc.property(policies, fc.array(random, { minLength: 1, maxLength: 30 }), (policy, draws) => {
        let state: ReturnState | null = null;
        let nowMs = 1_000;
        let before = 0;
        for (const [index, draw] of draws.entries()) {
          state = noteFailure(state, { nowMs, random: draw }, policy);
          const delayMs = toReturnDelayMs(state, policy);
          expect(delayMs).toBeGreaterThanOrEqual(policy.firstMs);
          expect(delayMs).toBeLessThanOrEqual(policy.maxMs);
          // 20 % of chance never eats up a doubling.
          expect(delayMs).toBeGreaterThanOrEqual(before);
          before = delayMs;
          const waiting = decideReturn(state, nowMs, policy);
          expect(waiting).toEqual({ kind: "wait", untilMs: nowMs + delayMs });
          expect(state.failures).toBe(index);
          nowMs += delayMs;
          expect(decideReturn(state, nowMs, policy)).toEqual({ kind: "try" });
        }
      }),
    );
  });

  it("never tries more often than the waits allow, however the accelerator comes and goes", () => {
    const lives = fc.array(fc.record({ returns: fc.boolean(), holdsMs: fc.nat(2_000_000), draw: random }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(policies, lives, (policy, steps) => {
        let nowMs = 0;
        let quickLosses = 0;
        let state = noteFailure(null, { nowMs, random: 0 }, policy);
        for (const { returns, holdsMs, draw } of steps) {
          const decision = decideReturn(state, nowMs, policy);
          if (decision.kind === "wait") nowMs = decision.untilMs;
          expect(decideReturn(state, nowMs, policy).kind).toBe("try");
          const { failures } = state;
          if (returns) {
            state = noteReturn(state, nowMs);
            expect(decideReturn(state, nowMs + 1e9, policy)).toEqual({ kind: "stay" });
            nowMs += holdsMs;
          }
          state = noteFailure(state, { nowMs, random: draw }, policy);
          const trusted = returns && holdsMs >= policy.maxMs;
          expect(state.failures).toBe(trusted ? 0 : failures + 1);
          quickLosses = trusted ? 0 : quickLosses + 1;
          expect(toReturnDelayMs(state, policy)).toBeGreaterThanOrEqual(
            Math.min(policy.maxMs, policy.firstMs * 2 ** Math.min(quickLosses, 30)),
          );
        }
      }),
    );
  });
});
