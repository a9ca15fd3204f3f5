import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noSightings, watchIdentity, type IdentitySighting, type IdentityWatch } from "./identity-watch.ts";
import {
  addTakeover,
  aliveMs,
  explainTakeovers,
  isFight,
  noTakeovers,
  takeoversOfTwo,
  takeoversUnexplained,
  takeoverWindowMs,
  type Takeover,
  type Takeovers,
} from "./takeovers.ts";

/** Each one followed by the birth of a process that was not there before. */
const toForeign = (takeovers: readonly Takeover[]): Takeovers =>
  takeovers.reduce<Takeovers>(
    (known, takeover) => explainTakeovers(addTakeover(known, takeover), { own: 0, atMs: takeover.atMs }),
    noTakeovers,
  );
/** Takeovers with these pauses before each. */
const play = (pausesMs: readonly number[], silentMs: number): Takeover[] => {
  let atMs = 0;
  return pausesMs.map((pauseMs) => ({ atMs: (atMs += pauseMs), silentMs }));
};

describe("takeovers of a session", () => {
  it("are no fight while those who lose it had fallen silent, however often", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000)), fc.integer({ min: aliveMs + 1 }), (pausesMs, silentMs) => {
        expect(isFight(toForeign(play(pausesMs, silentMs)))).toBe(false);
      }),
    );
  });

  it("are no fight when living ones lose it to another process now and then", () => {
    const apartMs = Math.ceil(takeoverWindowMs / (takeoversOfTwo - 1));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: apartMs, max: 10 * apartMs })), (pausesMs) => {
        expect(isFight(toForeign(play(pausesMs, 0)))).toBe(false);
      }),
    );
  });

  it("are a fight once living ones lose it to another process again and again", () => {
    const often = fc.integer({ min: 0, max: takeoverWindowMs / takeoversOfTwo });
    fc.assert(
      fc.property(
        fc.array(often, { minLength: takeoversOfTwo, maxLength: 40 }),
        fc.nat(aliveMs),
        (pausesMs, silentMs) => {
          expect(isFight(toForeign(play(pausesMs, silentMs)))).toBe(true);
        },
      ),
    );
  });

  it("say nothing when it is not known how long the other one was silent, and are kept in a bounded number", () => {
    const many = Array.from({ length: 100 }, () => 1);
    expect(play(many, NaN).reduce(addTakeover, noTakeovers)).toBe(noTakeovers);
    expect(play(many, 0).reduce(addTakeover, noTakeovers).open).toHaveLength(takeoversUnexplained);
    expect(toForeign(play(many, 0)).foreign).toHaveLength(takeoversOfTwo);
  });
});

const own = "0".repeat(24);
const address = "10.0.0.1";
const toBirth = (instance: string, session: number, atMs: number): IdentitySighting => ({
  kind: "birth",
  ...{ instance, session, address, atMs },
});

describe("a device whose connections are dropped where only it notices", () => {
  it("takes over its own living session as often as it likes, also when some of its births are lost", () => {
    const flap = fc.record({ afterMs: fc.nat(30_000), isHeard: fc.boolean() });
    fc.assert(
      fc.property(fc.array(flap, { maxLength: 200 }), (flaps) => {
        let watch: IdentityWatch = watchIdentity(noSightings, toBirth(own, 1, 0));
        let [nowMs, session, unheard] = [0, 1, 0];
        for (const { afterMs, isHeard } of flaps) {
          nowMs += afterMs;
          session += 1;
          unheard = isHeard ? 0 : unheard + 1;
          watch = watchIdentity(watch, { kind: "takeover", silentMs: 0, address, atMs: nowMs });
          if (isHeard || unheard === takeoversUnexplained - 1) {
            watch = watchIdentity(watch, toBirth(own, session, nowMs));
            // Redelivered: it says nothing new.
            expect(watchIdentity(watch, toBirth(own, session, nowMs)).takenOver).toEqual(watch.takenOver);
            unheard = 0;
          }
          expect(watch.finding).toBeNull();
        }
      }),
    );
  });
});

describe("a copy that is connected beside the device", () => {
  /** All that it can say of itself: nothing, another process, or the device's with whatever number. */
  const word = fc.oneof(
    fc.constant({ kind: "mute" as const }),
    fc.record({
      kind: fc.constant("other" as const),
      instance: fc.constantFrom("none", "1".repeat(24), "2".repeat(24)),
    }),
    fc.record({ kind: fc.constant("same" as const), ahead: fc.integer({ min: -3, max: 1_000 }) }),
  );

  it("is found within six turns, whatever it says of itself", () => {
    fc.assert(
      fc.property(fc.array(word, { minLength: 6, maxLength: 6 }), (words) => {
        let watch: IdentityWatch = watchIdentity(noSightings, toBirth(own, 1, 0));
        let nowMs = 0;
        const take = () => (watch = watchIdentity(watch, { kind: "takeover", silentMs: 0, address, atMs: nowMs }));
        words.forEach((said, index) => {
          nowMs += 1_000;
          take();
          const highest = Math.max(...watch.lives.map(({ session }) => session));
          if (said.kind === "other") watch = watchIdentity(watch, toBirth(said.instance, highest + 1, nowMs));
          if (said.kind === "same")
            watch = watchIdentity(watch, toBirth(own, Math.max(1, highest + said.ahead), nowMs));
          nowMs += 1_000;
          take();
          watch = watchIdentity(watch, toBirth(own, index + 2, nowMs));
        });
        expect(watch.finding).not.toBeNull();
      }),
    );
  });
});
