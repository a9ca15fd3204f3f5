import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Backlogs } from "./backlogs.ts";

function toHolders(names: readonly string[]) {
  const ended: string[] = [];
  return { ended, holders: names.map((name) => ({ name, end: () => void ended.push(name) })) };
}

describe("the unsent bytes of all connections", () => {
  it("end those that do not read, never the good reader to whom is written when the room ends", () => {
    const { ended, holders } = toHolders(["slow-1", "slow-2", "good"]);
    const [slow1, slow2, good] = holders as [(typeof holders)[0], (typeof holders)[0], (typeof holders)[0]];
    const backlogs = new Backlogs(1_000);
    backlogs.note(slow1, 300, 0);
    backlogs.note(slow2, 600, 0);
    backlogs.note(good, 500, 5_000);
    backlogs.shed(5_000);
    expect(ended).toEqual(["slow-2"]);
    expect(backlogs.bytes).toBe(800);
  });

  it("spare a reader on a slow link, who has been a little behind for an hour", () => {
    const { ended, holders } = toHolders(["little", "silent"]);
    const [little, silent] = holders as [(typeof holders)[0], (typeof holders)[0]];
    const backlogs = new Backlogs(4_000_000);
    backlogs.note(little, 6_000, 0);
    backlogs.note(silent, 4_000_000, 3_595_000);
    backlogs.shed(3_600_000);
    expect(ended).toEqual(["silent"]);
  });

  it("count the time from the last moment without a backlog", () => {
    const { ended, holders } = toHolders(["early", "late"]);
    const [early, late] = holders as [(typeof holders)[0], (typeof holders)[0]];
    const backlogs = new Backlogs(1_000);
    backlogs.note(early, 600, 0);
    backlogs.note(early, 0, 1_000);
    backlogs.note(late, 500, 2_000);
    backlogs.note(early, 600, 3_000);
    backlogs.shed(3_001);
    expect(ended).toEqual(["late"]);
  });

  it("keep the bound, are the sum of what is held, and end nobody without need", () => {
    const step = fc.record({ who: fc.nat({ max: 7 }), bytes: fc.nat({ max: 500 }), waitMs: fc.nat({ max: 50 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { ended, holders } = toHolders(["a", "b", "c", "d", "e", "f", "g", "h"]);
        const held = new Map<string, number>();
        const backlogs = new Backlogs(1_000);
        let nowMs = 0;
        for (const { who, bytes, waitMs } of steps) {
          const holder = holders[who] as (typeof holders)[0];
          nowMs += waitMs;
          backlogs.note(holder, bytes, nowMs);
          held.set(holder.name, bytes);
          const before = [...held.values()].reduce((sum, each) => sum + each, 0);
          const count = ended.length;
          backlogs.shed(nowMs);
          for (const name of ended.slice(count)) held.set(name, 0);
          expect(ended.length > count).toBe(before > 1_000);
          expect(backlogs.bytes).toBe([...held.values()].reduce((sum, each) => sum + each, 0));
          expect(backlogs.bytes).toBeLessThanOrEqual(1_000);
        }
      }),
    );
  });
});
