import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Backlogs } from "./backlogs.ts";

/** Connections by name, which end in `ended`, and the moments at which they are written to. */
function openBacklogs(maxBytes: number) {
  const ended: string[] = [];
  const holders = new Map<string, { end: () => void }>();
  let nowMs = 0;
  const backlogs = new Backlogs(maxBytes, () => nowMs);
  const note = (name: string, bytes: number, atMs: number): void => {
    const holder = holders.get(name) ?? { end: () => void ended.push(name) };
    holders.set(name, holder);
    nowMs = atMs;
    backlogs.note(holder, bytes);
  };
  const shed = (atMs: number): void => {
    nowMs = atMs;
    backlogs.shed();
  };
  return { backlogs, ended, note, shed };
}

describe("the unsent bytes of all connections", () => {
  it("end those that do not read, never the good reader to whom is written when the room ends", () => {
    const { backlogs, ended, note, shed } = openBacklogs(1_000);
    note("slow-1", 300, 0);
    note("slow-2", 600, 0);
    note("good", 500, 5_000);
    shed(5_000);
    expect(ended).toEqual(["slow-2"]);
    expect(backlogs.bytes).toBe(800);
  });

  it("spare a reader on a slow link, who has been a little behind for an hour", () => {
    const { ended, note, shed } = openBacklogs(4_000_000);
    note("little", 6_000, 0);
    note("silent", 4_000_000, 3_595_000);
    shed(3_600_000);
    expect(ended).toEqual(["silent"]);
  });

  it("count the time from the last moment without a backlog", () => {
    const { ended, note, shed } = openBacklogs(1_000);
    note("early", 600, 0);
    note("early", 0, 1_000);
    note("late", 500, 2_000);
    note("early", 600, 3_000);
    shed(3_001);
    expect(ended).toEqual(["late"]);
  });

  it("keep the bound, are the sum of what is held, and end nobody without need", () => {
    const names = fc.constantFrom("a", "b", "c", "d", "e", "f", "g", "h");
    const step = fc.record({ name: names, bytes: fc.nat({ max: 500 }), waitMs: fc.nat({ max: 50 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { backlogs, ended, note, shed } = openBacklogs(1_000);
        const held = new Map<string, number>();
        const sum = (): number => [...held.values()].reduce((total, bytes) => total + bytes, 0);
        let nowMs = 0;
        for (const { name, bytes, waitMs } of steps) {
          nowMs += waitMs;
          note(name, bytes, nowMs);
          held.set(name, bytes);
          const before = sum();
          const count = ended.length;
          shed(nowMs);
          for (const gone of ended.slice(count)) held.set(gone, 0);
          expect(ended.length > count).toBe(before > 1_000);
          expect(backlogs.bytes).toBe(sum());
          expect(backlogs.bytes).toBeLessThanOrEqual(1_000);
        }
      }),
    );
  });
});
