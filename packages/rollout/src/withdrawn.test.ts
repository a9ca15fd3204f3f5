import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { isForCause } from "./known-bad.ts";
import { createFleet, toDevice, toSpec } from "./testing/fleet.ts";

const devices = Array.from({ length: 10 }, (_, index) => toDevice(`dev-${index}`));
const revoked = { code: "release_not_vouched", reason: "no publisher vouches for it" };
const offers = (fleet: ReturnType<typeof createFleet>) => fleet.log.filter(({ kind }) => kind === "offer").length;

describe("a rollout of a release that devices would refuse", () => {
  it("pauses with that reason before it offers anything, and what runs is left alone", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.withdraw(revoked);
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "paused", pauseReason: "trust", code: "release_not_vouched" });
    expect(offers(fleet)).toBe(0);
    expect(fleet.settle()).toEqual([]);
  });

  it("goes on when somebody resumes it after it was vouched for again, and pauses anew when not", () => {
    const fleet = createFleet(toSpec(), devices);
    fleet.settle();
    fleet.answerAll();
    fleet.withdraw(revoked);
    fleet.settle();
    const before = offers(fleet);
    const resume = () =>
      (fleet.record = applyRolloutAction(fleet.record, { action: "resume", actor: "ada", reason: "" }, fleet.nowMs));
    resume();
    fleet.settle();
    expect(fleet.record).toMatchObject({ state: "paused", pauseReason: "trust" });
    fleet.withdraw(null);
    resume();
    for (let round = 0; round < 2; round += 1) {
      fleet.advance(20_000);
      fleet.settle();
    }
    expect(fleet.record.state).toBe("running");
    expect(offers(fleet)).toBeGreaterThan(before);
  });

  it("offers it to no newcomer after it has succeeded, and makes no lost request again", () => {
    const fleet = createFleet(
      toSpec({ stages: [{ name: "all", target: { kind: "percent", percent: 100 } }] }),
      devices,
    );
    fleet.settle();
    fleet.answerAll();
    for (let round = 0; round < 3; round += 1) {
      fleet.advance(1_000_000);
      fleet.settle();
    }
    expect(fleet.record.state).toBe("succeeded");
    fleet.withdraw(revoked);
    fleet.change("late-1", toDevice("late-1"));
    expect(fleet.settle()).toEqual([]);
    fleet.withdraw(null);
    fleet.settle();
    expect(fleet.log.at(-1)).toMatchObject({ kind: "offer", device: "late-1" });
  });

  it("never offers while it is withdrawn, whatever devices do, and still rolls back", () => {
    const step = fc.constantFrom("withdraw", "vouch", "answer", "fail", "advance", "resume", "abort");
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const fleet = createFleet(toSpec({ onFailure: "rollback" }), devices);
        let isWithdrawn = false;
        for (const one of steps) {
          if (one === "withdraw" || one === "vouch") {
            isWithdrawn = one === "withdraw";
            fleet.withdraw(isWithdrawn ? revoked : null);
          } else if (one === "answer") fleet.answerAll();
          else if (one === "fail") fleet.answerAll("failed");
          else if (one === "advance") fleet.advance(30_000);
          else
            try {
              fleet.record = applyRolloutAction(fleet.record, { action: one, actor: "ada", reason: "" }, fleet.nowMs);
            } catch {
              continue;
            }
          const decisions = fleet.settle();
          if (isWithdrawn) expect(decisions.filter(({ kind }) => kind === "offer")).toEqual([]);
          expect(fleet.decide()).toEqual([]);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("a verdict on a version", () => {
  it("comes from what the version did, not from devices that were away", () => {
    expect(["too_many_failures", "confidence_too_low", "self_test_failed"].every(isForCause)).toBe(true);
    expect(["stage_timeout", "evidence_timeout", "stage_empty", "placement_missed"].some(isForCause)).toBe(false);
  });
});
