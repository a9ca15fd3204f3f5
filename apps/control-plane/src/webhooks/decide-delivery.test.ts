import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideDelivery, defaultDeliveryPolicy as policy, type Outcome } from "./decide-delivery.ts";

const failed: Outcome = { kind: "failed", status: 500, code: "status", message: "no" };
const fresh = { attempts: 0, createdAtMs: 1_000_000, lastDeliveredAtMs: null };

describe("decideDelivery", () => {
  it("ends with what was taken", () => {
    const decision = decideDelivery(fresh, { kind: "taken", status: 204 }, { nowMs: 1_000_001, random: 0, policy });
    expect(decision).toEqual({ kind: "delivered" });
  });

  it("gives a receiver up that says it is gone, at once", () => {
    const decision = decideDelivery(
      { ...fresh, lastDeliveredAtMs: 1_000_000 },
      { ...failed, status: 410 },
      {
        ...{ nowMs: 1_000_001, random: 0, policy },
      },
    );
    expect(decision).toEqual({ kind: "give-up", disables: true });
  });

  it("gives one message up and keeps the receiver that took another one since", () => {
    const state = { ...fresh, attempts: 7, lastDeliveredAtMs: fresh.createdAtMs + 5 };
    const nowMs = fresh.createdAtMs + policy.giveUpMs;
    expect(decideDelivery(state, failed, { nowMs, random: 0, policy })).toEqual({ kind: "give-up", disables: false });
    const silent = { ...state, lastDeliveredAtMs: fresh.createdAtMs - 5 };
    expect(decideDelivery(silent, failed, { nowMs, random: 0, policy })).toEqual({ kind: "give-up", disables: true });
  });

  it("tries a message a bounded number of times, never twice within a second, and last when its time is over", () => {
    const draws = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
      minLength: 60,
      maxLength: 60,
    });
    fc.assert(
      fc.property(draws, (chance) => {
        let nowMs = fresh.createdAtMs;
        let attempts = 0;
        for (;;) {
          const decision = decideDelivery({ ...fresh, attempts }, failed, {
            nowMs,
            random: chance[attempts] ?? 0,
            policy,
          });
          attempts += 1;
          if (decision.kind !== "try-again") {
            expect(decision).toEqual({ kind: "give-up", disables: true });
            break;
          }
          expect(decision.atMs - nowMs).toBeGreaterThanOrEqual(1_000);
          expect(decision.atMs).toBeLessThanOrEqual(fresh.createdAtMs + policy.giveUpMs + 1_000);
          nowMs = decision.atMs;
        }
        expect(attempts).toBeLessThanOrEqual(policy.maxAttempts);
        expect(attempts === policy.maxAttempts || nowMs >= fresh.createdAtMs + policy.giveUpMs).toBe(true);
      }),
    );
  });

  it("gives up when the time cannot be read", () => {
    expect(decideDelivery(fresh, failed, { nowMs: Number.NaN, random: 0, policy }).kind).toBe("give-up");
  });
});
