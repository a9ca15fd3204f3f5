import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addTakeover, aliveMs, isFight, takeoversOfTwo, takeoverWindowMs, type Takeover } from "./takeovers.ts";

const toTimes = (takeovers: readonly Takeover[]): readonly number[] =>
  takeovers.reduce<readonly number[]>((times, takeover) => addTakeover(times, takeover), []);
/** Takeovers with these pauses before each. */
const play = (pausesMs: readonly number[], silentMs: number): Takeover[] => {
  let atMs = 0;
  return pausesMs.map((pauseMs) => ({ atMs: (atMs += pauseMs), silentMs }));
};

describe("takeovers of a session", () => {
  it("are no fight while those who lose it had fallen silent, however often", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000)), fc.integer({ min: aliveMs + 1 }), (pausesMs, silentMs) => {
        expect(isFight(toTimes(play(pausesMs, silentMs)))).toBe(false);
      }),
    );
  });

  it("are no fight when living ones lose it now and then", () => {
    const apartMs = Math.ceil(takeoverWindowMs / (takeoversOfTwo - 1));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: apartMs, max: 10 * apartMs })), (pausesMs) => {
        expect(isFight(toTimes(play(pausesMs, 0)))).toBe(false);
      }),
    );
  });

  it("are a fight once living ones lose it again and again, also when only every second one is heard", () => {
    const often = fc.integer({ min: 0, max: takeoverWindowMs / (2 * takeoversOfTwo) });
    fc.assert(
      fc.property(
        fc.array(often, { minLength: 2 * takeoversOfTwo, maxLength: 40 }),
        fc.nat(aliveMs),
        (pausesMs, silentMs) => {
          const both = play(pausesMs, silentMs);
          expect(isFight(toTimes(both))).toBe(true);
          const heard = both.map((each, index) => (index % 2 === 0 ? each : { ...each, silentMs: Infinity }));
          expect(isFight(toTimes(heard))).toBe(true);
        },
      ),
    );
  });

  it("say nothing when it is not known how long the other one was silent, and are kept in a bounded number", () => {
    expect(toTimes(play([1, 1, 1, 1, 1, 1], NaN))).toEqual([]);
    expect(
      toTimes(
        play(
          Array.from({ length: 100 }, () => 1),
          0,
        ),
      ),
    ).toHaveLength(takeoversOfTwo);
  });
});
