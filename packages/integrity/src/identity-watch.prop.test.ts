import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { noSightings, watchIdentity, type IdentitySighting, type IdentityWatch } from "./identity-watch.ts";

type Birth = Extract<IdentitySighting, { kind: "birth" }>;
type Step = "reconnect" | "move" | "restart" | "lose-state" | "lose-outbox" | "late";

const step: fc.Arbitrary<Step> = fc.constantFrom("reconnect", "move", "restart", "lose-state", "lose-outbox", "late");
const watchAll = (sightings: readonly IdentitySighting[]): IdentityWatch =>
  sightings.reduce((watch, sighting) => watchIdentity(watch, sighting), noSightings);

interface Folder {
  readonly births: Birth[];
  instance: number;
  session: number;
  address: number;
}

/** One data folder and one process at a time, with what happens to devices in the field. */
function play(steps: readonly Step[], name = "a", from: Pick<Folder, "session"> = { session: 0 }): Birth[] {
  const folder: Folder = { births: [], instance: 0, session: from.session, address: 0 };
  let atMs = 0;
  for (const happened of ["reconnect" as const, ...steps]) {
    if (happened === "restart" || happened === "lose-state" || happened === "lose-outbox") folder.instance += 1;
    if (happened === "lose-state") folder.session = 0;
    if (happened === "move") folder.address += 1;
    folder.session += 1;
    atMs += 1;
    const { instance, session, address } = folder;
    const birth: Birth = { kind: "birth", instance: `${name}${instance}`, session, address: `10.0.0.${address}`, atMs };
    const last = folder.births.at(-1);
    // The last birth of the process before was still under way when this one was heard.
    if (happened === "late" && last !== undefined && last.instance !== birth.instance)
      folder.births.splice(-1, 1, birth, last);
    else folder.births.push(birth);
  }
  return folder.births;
}

describe("an identity that is watched", () => {
  it("is never called a clone for restarts, reconnects, moves, losses and words that come late", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        expect(watchAll(play(steps)).finding).toBeNull();
      }),
    );
  });

  it("is never called a clone when neighbouring births change places once per restart", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat(), (steps, seed) => {
        const births = play(steps);
        const ends = births.flatMap(({ instance }, index) =>
          index > 0 && births[index - 1]?.instance !== instance ? [index] : [],
        );
        for (const [turn, index] of ends.entries()) {
          const [before, after] = [births[index - 1], births[index]];
          if (((seed >> (turn % 24)) & 1) === 0 || before === undefined || after === undefined) continue;
          births.splice(index - 1, 2, after, before);
        }
        expect(watchAll(births).finding).toBeNull();
      }),
    );
  });

  it("is called a clone once two processes have taken turns, whatever their session numbers", () => {
    fc.assert(
      fc.property(fc.nat(1_000), fc.nat(1_000), fc.integer({ min: 3, max: 12 }), (first, second, rounds) => {
        const steps = Array.from({ length: rounds }, () => "reconnect" as const);
        const one = play(steps, "a", { session: first });
        const two = play(steps, "b", { session: second });
        const births = one.flatMap((birth, index) => [birth, two[index]].filter((each) => each !== undefined));
        expect(watchAll(births).finding).toMatchObject({ code: "instances_alternate" });
      }),
    );
  });

  it("says where both were seen", () => {
    const steps = ["move", "reconnect", "reconnect"] as const;
    const [a, b] = [play(steps), play(steps, "b", { session: 7 })];
    const births = a.flatMap((birth, index) => [birth, b[index]].filter((each) => each !== undefined));
    expect(watchAll(births).finding?.evidence).toEqual([
      "process a0 from 10.0.0.1, session 4",
      "process b0 from 10.0.0.1, session 11, back 3 times",
    ]);
  });

  it("keeps the first finding, and does not change for what is repeated", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const births = play(steps);
        const once = watchAll(births);
        const last = births.at(-1) as Birth;
        expect(watchIdentity(once, last)).toEqual(once);
        const forked = { kind: "sequence-fork", epoch: "epoch0001", seq: 7, what: "differs", atMs: 9 } as const;
        const found = watchIdentity(once, forked);
        expect(found.finding).toMatchObject({ code: "sequence_forked", foundAtMs: 9 });
        expect(watchIdentity(found, { ...forked, seq: 8, atMs: 10 }).finding).toBe(found.finding);
        expect(found.lives.length).toBeLessThanOrEqual(8);
      }),
    );
  });
});

describe("an evidence chain that forks", () => {
  const head = (letter: string): string => `sha256:${letter.repeat(64)}`;
  const fork = { kind: "chain-fork", replaced: { index: 4, head: head("a") }, atMs: 1 } as const;
  const link = (previous: string) => ({ kind: "chain-link", index: 5, previous, atMs: 2 }) as const;

  it("is a clone's only when the branch that was left goes on too", () => {
    expect(watchAll([fork, link(head("b")), link(head("c"))]).finding).toBeNull();
    expect(watchAll([fork, link(head("b")), link(head("a"))]).finding).toMatchObject({ code: "chain_forked" });
  });

  it("is remembered for a bounded number of branches", () => {
    const forks = Array.from({ length: 40 }, (_, index) => ({
      ...fork,
      replaced: { index, head: head(String(index % 10)) + String(index) },
    }));
    expect(watchAll(forks).abandoned).toHaveLength(8);
  });
});
