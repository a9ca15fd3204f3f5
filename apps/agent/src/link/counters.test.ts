import { silentLogger } from "@fairlead/kernel";
import { describe, expect, it } from "vitest";
import type { Saved } from "../models/saved.ts";
import { createRevisionCounter, createSessionCounter, type RevisionCounterOptions } from "./counters.ts";
import { createTrustedTime } from "./trusted-time.ts";

function createMemory<Value>(): Saved<Value> & { saves: number } {
  let value: Value | undefined;
  return {
    saves: 0,
    load: () => value,
    save(next) {
      value = next;
      this.saves += 1;
    },
  };
}

let nowMs = 1_000;
const toOptions = (saved: RevisionCounterOptions["saved"], epoch: string): RevisionCounterOptions => ({
  ...{ saved, epoch, nowMs: () => nowMs, logger: silentLogger },
});

describe("counters that outlive the process", () => {
  it("never give a session twice", () => {
    const saved = createMemory<{ v: 1; session: number }>();
    const first = createSessionCounter(saved, silentLogger);
    expect([first.next(), first.next()]).toEqual([1, 2]);
    expect(createSessionCounter(saved, silentLogger).next()).toBe(3);
  });

  it("go on with the number of a session that finds no room on the disk", () => {
    const full: Saved<{ v: 1; session: number }> = {
      load: () => ({ v: 1, session: 7 }),
      save: () => {
        throw new Error("ENOSPC: no space left on device");
      },
    };
    const session = createSessionCounter(full, silentLogger);
    expect([session.next(), session.next(), session.current()]).toEqual([8, 9, 9]);
  });

  it("never give a revision twice within an epoch, with one write for many", () => {
    const saved = createMemory<{ v: 1; epoch: string; reservedUpTo: number }>();
    const first = createRevisionCounter(toOptions(saved, "epoch0001"));
    const given = Array.from({ length: 300 }, () => first.next());
    expect(given).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    expect(saved.saves).toBe(2);
    expect(createRevisionCounter(toOptions(saved, "epoch0001")).next()).toBeGreaterThan(300);
    expect(createRevisionCounter(toOptions(saved, "epoch0002")).next()).toBe(1);
  });
});

describe("the number of a report", () => {
  it("goes on while it cannot be saved, over starts too, and is saved as soon as it can", () => {
    let isFull = true;
    let reservedUpTo = 512;
    const saved: Saved<{ v: 1; epoch: string; reservedUpTo: number }> = {
      load: () => ({ v: 1, epoch: "epoch0001", reservedUpTo }),
      save: (next) => {
        if (isFull) throw new Error("ENOSPC: no space left on device");
        ({ reservedUpTo } = next);
      },
    };
    const numbers = createRevisionCounter(toOptions(saved, "epoch0001"));
    nowMs = 1_800_000_000_000;
    expect([numbers.next(), numbers.next()]).toEqual([1_800_000_000, 1_800_000_001]);
    nowMs += 5_000;
    const after = createRevisionCounter(toOptions(saved, "epoch0001"));
    expect([after.next(), after.next()]).toEqual([1_800_000_005, 1_800_000_006]);
    isFull = false;
    expect(after.next()).toBe(1_800_000_007);
    expect(createRevisionCounter(toOptions(saved, "epoch0001")).next()).toBeGreaterThan(1_800_000_007);
  });
});

describe("the trusted time", () => {
  it("is never before what was signed or what the plane said, and goes on from there", () => {
    const clock = { wall: 1_000, monotonic: 0 };
    const time = createTrustedTime({ nowMs: () => clock.wall, monotonicMs: () => clock.monotonic });
    expect(time.nowMs()).toBe(1_000);
    time.observe(5_000);
    time.observe(4_000);
    expect(time.nowMs()).toBe(5_000);
    time.observeLive(9_000);
    clock.monotonic = 250;
    expect(time.nowMs()).toBe(9_250);
    clock.wall = 20_000;
    expect(time.nowMs()).toBe(20_000);
  });
});
