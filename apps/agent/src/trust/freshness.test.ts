import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeFreshness, type FreshnessPolicy } from "./freshness.ts";

const untilMs = Date.parse("2026-11-26T00:00:00Z");
const month = 30 * 86_400_000;
const stop: FreshnessPolicy = { maxStaleServeMs: month, onStale: "stop" };
const forever: FreshnessPolicy = { maxStaleServeMs: null, onStale: "stop" };

describe("freshness", () => {
  it("ends with the statement, and serving only as long after it as the policy says", () => {
    expect(judgeFreshness(untilMs, untilMs - 1, stop)).toMatchObject({ state: "fresh", held: null });
    expect(judgeFreshness(untilMs, untilMs, stop)).toMatchObject({ state: "stale", held: null });
    expect(judgeFreshness(untilMs, untilMs + month, stop)).toMatchObject({ state: "stale", held: null });
    const overdue = judgeFreshness(untilMs, untilMs + month + 1, stop);
    expect(overdue).toMatchObject({ state: "overdue", held: expect.stringContaining("30 days") });
    expect(overdue.held).toContain("2026-11-26T00:00:00.000Z");
  });

  it("goes on and says so where an alarm is asked for, and for ever without a limit", () => {
    const alarm = { ...stop, onStale: "alarm" } as const;
    expect(judgeFreshness(untilMs, untilMs + 2 * month, alarm)).toMatchObject({ state: "overdue", held: null });
    expect(judgeFreshness(untilMs, untilMs + 1_000 * month, forever)).toMatchObject({ state: "stale", held: null });
  });

  it("holds what cannot be read to be over, once there is a limit", () => {
    for (const [until, now] of [
      [null, untilMs],
      [Number.NaN, untilMs],
      [untilMs, Number.NaN],
    ] as const)
      expect(judgeFreshness(until, now, stop).held, `${until} ${now}`).not.toBeNull();
    expect(judgeFreshness(null, untilMs, forever)).toMatchObject({ state: "stale", held: null });
  });

  it("never comes back by the passing of time", () => {
    const order = ["fresh", "stale", "overdue"];
    const moment = fc.integer({ min: untilMs - 2 * month, max: untilMs + 3 * month });
    fc.assert(
      fc.property(moment, moment, (one, other) => {
        const at = (nowMs: number) => order.indexOf(judgeFreshness(untilMs, nowMs, stop).state);
        expect(at(Math.min(one, other))).toBeLessThanOrEqual(at(Math.max(one, other)));
      }),
    );
  });
});
