import { describe, expect, it } from "vitest";
import type { Saved } from "../models/saved.ts";
import { createRevisionCounter, createSessionCounter } from "./counters.ts";
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

describe("counters that outlive the process", () => {
  it("never give a session twice", () => {
    const saved = createMemory<{ v: 1; session: number }>();
    const first = createSessionCounter(saved);
    expect([first.next(), first.next()]).toEqual([1, 2]);
    expect(createSessionCounter(saved).next()).toBe(3);
  });

  it("never give a revision twice within an epoch, with one write for many", () => {
    const saved = createMemory<{ v: 1; epoch: string; reservedUpTo: number }>();
    const first = createRevisionCounter(saved, "epoch0001");
    const given = Array.from({ length: 300 }, () => first.next());
    expect(given).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
    expect(saved.saves).toBe(2);
    expect(createRevisionCounter(saved, "epoch0001").next()).toBeGreaterThan(300);
    expect(createRevisionCounter(saved, "epoch0002").next()).toBe(1);
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
