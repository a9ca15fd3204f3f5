import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noSightings, watchIdentity, type IdentitySighting, type IdentityWatch } from "./identity-watch.ts";
import { turnGraceMs } from "./succession.ts";
import { takeoversUnexplained } from "./takeovers.ts";

const address = "10.0.0.1";
const watchAll = (sightings: readonly IdentitySighting[]): IdentityWatch =>
  sightings.reduce((watch, sighting) => watchIdentity(watch, sighting), noSightings);
const hear = (epoch: string, atMs: number): IdentitySighting => ({ kind: "epoch", epoch, address, atMs });
const end = (fingerprint: string, atMs: number): IdentitySighting => ({
  kind: "certificate-ended",
  ...{ fingerprint, sinceMs: 0, atMs },
});
const show = (fingerprint: string, atMs: number): IdentitySighting => ({
  kind: "certificate-shown",
  ...{ fingerprint, address, atMs },
});
const pauses = fc.array(fc.nat(3 * turnGraceMs), { maxLength: 60 });

describe("epochs of a queue", () => {
  it("are no sign when each is lost for good, with late words of the one before", () => {
    fc.assert(
      fc.property(pauses, fc.array(fc.nat(turnGraceMs - 1), { maxLength: 60 }), (pausesMs, lateMs) => {
        let nowMs = 0;
        const sightings = pausesMs.flatMap((pauseMs, index) => {
          nowMs += pauseMs;
          // The next one begins only when the late words are over.
          const beganMs = nowMs;
          nowMs += lateMs[index] ?? 0;
          const late = index === 0 || lateMs[index] === undefined ? [] : [hear(`epoch-${index - 1}`, nowMs)];
          return [hear(`epoch-${index}`, beganMs), ...late, hear(`epoch-${index}`, nowMs)];
        });
        expect(watchAll(sightings).finding).toBeNull();
      }),
    );
  });

  it("are a sign when one goes on after another had followed it, however many others are made up", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), (others) => {
        const ownMs = 600_000;
        const madeUp = Array.from({ length: others }, (_, index) => hear(`made-up-${index}`, ownMs + index));
        const sightings = [hear("own", 0), ...madeUp, hear("own", ownMs + turnGraceMs)];
        expect(watchAll(sightings).finding).toMatchObject({ code: "epoch_returned" });
      }),
    );
  });

  it("are a sign within the time of late words when two speak in turn", () => {
    const turns = Array.from({ length: 2 * 62 }, (_, index) => hear(index % 2 === 0 ? "a" : "b", index * 500 + 1_000));
    expect(watchAll(turns).finding).toMatchObject({ code: "epoch_returned", foundAtMs: 2_000 + turnGraceMs });
  });

  it("cost nothing while the present one is heard", () => {
    const watch = watchAll([hear("a", 1), hear("b", 2)]);
    expect(watchIdentity(watch, hear("b", 10 * turnGraceMs))).toBe(watch);
    expect(watchIdentity(watch, hear("a", 3))).toBe(watch);
  });
});

describe("certificates of a device", () => {
  it("are no sign while each is followed by its renewal, with refusals of the one before under way", () => {
    fc.assert(
      fc.property(pauses, fc.nat(turnGraceMs - 1), (pausesMs, lateMs) => {
        let nowMs = 0;
        const sightings = pausesMs.flatMap((pauseMs, index) => {
          nowMs += pauseMs;
          return [end(`certificate-${index}`, nowMs), show(`certificate-${index}`, nowMs + lateMs)];
        });
        expect(watchAll(sightings).finding).toBeNull();
      }),
    );
  });

  it("are a sign, the first time and once, when one is shown long after its renewal was used", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.integer({ min: turnGraceMs, max: 1_000 * turnGraceMs }), (renewals, laterMs) => {
        const stolenMs = 30 * 86_400_000;
        const quick = Array.from({ length: renewals }, (_, index) => end(`quick-${index}`, stolenMs + 60_000 * index));
        const watch = watchAll([end("stolen", stolenMs), ...quick]);
        const found = watchIdentity(watch, show("stolen", stolenMs + laterMs));
        expect(found.finding).toMatchObject({ code: "superseded_certificate_used", foundAtMs: stolenMs + laterMs });
        expect(watchIdentity(found, show("stolen", stolenMs + laterMs + 1))).toBe(found);
      }),
    );
  });

  it("say nothing when they were never in force here: a plane that was restored knows them not", () => {
    const watch = watchAll([end("known", 1)]);
    expect(watchIdentity(watch, show("unknown", 10 * turnGraceMs))).toBe(watch);
  });
});

describe("a session that is taken over", () => {
  const take = (atMs: number, silentMs: number): IdentitySighting => ({ kind: "takeover", address, atMs, silentMs });

  it("is contended once living ones lost it again and again to connections that do not say who they are", () => {
    const takes = Array.from({ length: takeoversUnexplained }, (_, index) => take(index * 1_000, 200));
    expect(watchAll(takes.slice(1)).finding).toBeNull();
    const found = watchAll(takes);
    expect(found.finding).toMatchObject({
      code: "session_contended",
      evidence: ["10 living sessions were taken over within 9 s", "the last one from 10.0.0.1"],
    });
    expect(watchIdentity(found, take(99_000, 200))).toBe(found);
  });

  it("is not contended by a device that lost its network, however often", () => {
    const takes = Array.from({ length: 40 }, (_, index) => take(index * 31_000, 30_000));
    expect(watchAll(takes)).toBe(noSightings);
  });
});
