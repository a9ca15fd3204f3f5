import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createBodyBudget, type BodyHold } from "./http-body-budget.ts";

const mebibyte = 1_048_576;
const overloaded = expect.objectContaining({ code: "overloaded" }) as Error;

function openBudget({ maxBytes = 64 * mebibyte, eachBytes = 16 * mebibyte } = {}) {
  const clock = { nowMs: 0 };
  return { clock, budget: createBodyBudget({ maxBytes, eachBytes, nowMs: () => clock.nowMs }) };
}

describe("the memory that requests may hold together", () => {
  it("keeps a quarter for small bodies, however many large ones there are", () => {
    const { budget } = openBudget();
    for (let count = 0; count < 3; count += 1) budget.open().add(16 * mebibyte);
    expect(() => budget.open().add(2 * mebibyte)).toThrow(overloaded);
    budget.open().add(100_000);
    expect(budget.usedBytes).toBe(48 * mebibyte + 100_000);
  });

  it("has room for one body of the largest size even where that is all of it", () => {
    const { budget } = openBudget({ maxBytes: 16 * mebibyte });
    budget.open().add(16 * mebibyte);
    expect(() => budget.open().add(1)).toThrow(overloaded);
  });

  it("lets the body give way that has been arriving for longest, once it is two seconds old", () => {
    const { budget, clock } = openBudget();
    const gone: number[] = [];
    const holds = [0, 1, 2].map((index) => {
      const hold = budget.open();
      clock.nowMs = index * 500;
      hold.arriving(() => gone.push(index));
      hold.add(16 * mebibyte);
      return hold;
    });
    expect(() => budget.open().add(16 * mebibyte)).toThrow(overloaded);
    // Whole: it waits and runs, and is no longer its client's fault.
    holds[0]?.arrived();
    clock.nowMs = 2_499;
    expect(() => budget.open().add(16 * mebibyte)).toThrow(overloaded);
    clock.nowMs = 2_500;
    budget.open().add(16 * mebibyte);
    expect(gone).toEqual([1]);
    holds[1]?.release();
    expect(budget.usedBytes).toBe(48 * mebibyte);
  });

  it("gives batch work half of it at most, and a single request of any size", () => {
    const { budget } = openBudget();
    const toBatch = (bytes: number) => {
      const hold = budget.open();
      hold.add(bytes);
      return hold;
    };
    toBatch(40 * mebibyte).waitAsBatch();
    const second = toBatch(mebibyte);
    expect(() => second.waitAsBatch()).toThrow(overloaded);
    second.release();
    expect(budget.usedBytes).toBe(40 * mebibyte);
  });

  it("never counts more than it has, and nothing once everybody is gone", () => {
    const act = fc.record({
      who: fc.nat(5),
      kind: fc.constantFrom("add", "ahead", "arriving", "arrived", "batch", "release", "later" as const),
      amount: fc.nat(10 * mebibyte),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const { budget, clock } = openBudget({ maxBytes: 24 * mebibyte });
        const holds: BodyHold[] = Array.from({ length: 6 }, () => budget.open());
        for (const { who, kind, amount } of acts) {
          const hold = holds[who] as BodyHold;
          try {
            if (kind === "add") hold.add(amount);
            else if (kind === "ahead") hold.tryAhead(amount);
            else if (kind === "arriving") hold.arriving(() => undefined);
            else if (kind === "arrived") hold.arrived();
            else if (kind === "batch") hold.waitAsBatch();
            else if (kind === "release") hold.release();
            else clock.nowMs += amount;
          } catch (error) {
            expect(error).toEqual(overloaded);
          }
          expect(budget.usedBytes).toBeLessThanOrEqual(24 * mebibyte);
          expect(budget.usedBytes).toBeGreaterThanOrEqual(0);
        }
        for (const hold of holds) hold.release();
        expect(budget.usedBytes).toBe(0);
      }),
    );
  });
});
