import { describe, expect, it } from "vitest";
import { createChallenges } from "./challenges.ts";

function createTimed(capacity: number) {
  const time = { ms: 0 };
  let count = 0;
  const clock = { nowMs: () => time.ms, monotonicMs: () => time.ms };
  const createId = () => `chl-${(count += 1)}`;
  return { time, challenges: createChallenges<string>({ clock, createId, ttlMs: 1_000, capacity }) };
}

describe("a challenge", () => {
  it("is taken once", () => {
    const { challenges } = createTimed(10);
    const id = challenges.issue("a");
    expect(challenges.take(id)).toBe("a");
    expect(challenges.take(id)).toBeUndefined();
    expect(challenges.take("chl-of-nobody")).toBeUndefined();
  });

  it("does not outlive its time", () => {
    const { time, challenges } = createTimed(10);
    const [early, late] = [challenges.issue("early"), challenges.issue("late")];
    time.ms = 999;
    expect(challenges.take(early)).toBe("early");
    time.ms = 1_000;
    expect(challenges.take(late)).toBeUndefined();
  });

  it("makes room for a newer one when too many wait", () => {
    const { challenges } = createTimed(3);
    const ids = ["a", "b", "c", "d", "e"].map((value) => challenges.issue(value));
    expect(ids.map((id) => challenges.take(id))).toEqual([undefined, undefined, "c", "d", "e"]);
  });
});
