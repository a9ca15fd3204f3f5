import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endTurn, findOverdue, turnGraceMs, type EndedTurn } from "./succession.ts";

const dayMs = 86_400_000;
/** Turns one after another, each as long as it says; the last one is the present one. */
function play(lengthsMs: readonly number[]): { readonly ended: readonly EndedTurn[]; readonly nowMs: number } {
  let nowMs = 0;
  let ended: readonly EndedTurn[] = [];
  for (const [index, lengthMs] of lengthsMs.entries()) {
    ended = endTurn(ended, { id: `turn-${index}`, sinceMs: nowMs }, nowMs + lengthMs);
    nowMs += lengthMs;
  }
  return { ended, nowMs };
}
const lengths = fc.array(fc.nat(2 * dayMs), { minLength: 1, maxLength: 40 });

describe("turns that are over", () => {
  it("are a bounded number, each once, and the last one is among them", () => {
    fc.assert(
      fc.property(lengths, (lengthsMs) => {
        const { ended } = play(lengthsMs);
        expect(ended).toHaveLength(Math.min(8, lengthsMs.length));
        expect(new Set(ended.map(({ id }) => id)).size).toBe(ended.length);
        expect(ended.at(-1)?.id).toBe(`turn-${lengthsMs.length - 1}`);
      }),
    );
  });

  it("are not pushed out by any number of quicker ones", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: dayMs }),
        fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { maxLength: 100 }),
        (longMs, parts) => {
          const { ended, nowMs } = play([longMs, ...parts.map((part) => Math.floor(longMs * part))]);
          expect(findOverdue(ended, "turn-0", nowMs + turnGraceMs)).toMatchObject({ forMs: longMs });
        },
      ),
    );
  });

  it("forget the oldest of many that were long", () => {
    const { ended } = play(Array.from({ length: 12 }, (_, index) => (2 + index / 24) * dayMs));
    expect(ended.map(({ id }) => id)).toEqual([4, 5, 6, 7, 8, 9, 10, 11].map((index) => `turn-${index}`));
  });

  it("are overdue only after the time in which late words arrive, and what was never there never is", () => {
    fc.assert(
      fc.property(lengths, fc.nat(2 * turnGraceMs), (lengthsMs, laterMs) => {
        const { ended, nowMs } = play(lengthsMs);
        const last = `turn-${lengthsMs.length - 1}`;
        expect(findOverdue(ended, last, nowMs + laterMs) !== undefined).toBe(laterMs >= turnGraceMs);
        expect(findOverdue(ended, "unknown", nowMs + laterMs)).toBeUndefined();
      }),
    );
  });
});
