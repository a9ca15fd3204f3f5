import { describe, expect, test } from "vitest";
import { cloneCoolDownMs, judgeCloneBrake } from "./clone-brake.ts";

const nowMs = 1_800_000_000_000;
const facts = { fleet: 10, held: 0, releasedAtMs: null, nowMs };

describe("the brake of quarantines for clones", () => {
  test.each([
    ["none is held", { held: 0 }, null],
    ["one less than the limit is held", { held: 1 }, null],
    ["the limit is held", { held: 2 }, "blast_radius"],
    ["more than the limit is held", { held: 7 }, "blast_radius"],
    ["a lone device is the fleet", { fleet: 1, held: 0 }, null],
    ["the other one of two is held", { fleet: 2, held: 1 }, "blast_radius"],
    ["it was released just now", { releasedAtMs: nowMs - 1 }, "cool_down"],
    ["its rest is nearly over", { releasedAtMs: nowMs - cloneCoolDownMs + 1 }, "cool_down"],
    ["its rest is over", { releasedAtMs: nowMs - cloneCoolDownMs }, null],
  ])("answers when %s", (_when, more, code) => {
    expect(judgeCloneBrake({ ...facts, ...more })?.code ?? null).toBe(code);
  });

  test("says how many are held and how many may be", () => {
    expect(judgeCloneBrake({ ...facts, held: 2 })).toMatchObject({
      reason: "2 of 10 devices are in quarantine already, at most 2 may be put there by themselves",
      numbers: { held: 2, fleet: 10, limit: 2 },
    });
  });
});
