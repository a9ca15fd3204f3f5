import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  inlineLimits,
  mayRunInline,
  noteInlineRun,
  unproved,
  type InlineRun,
  type InlineState,
} from "./inline-plan.ts";

const runs = fc.array(
  fc.record({
    shapes: fc.constantFrom("x:1x4", "x:2x4"),
    runUs: fc.oneof(
      fc.integer({ min: 1, max: inlineLimits.maxRunUs }),
      fc.integer({ min: inlineLimits.maxRunUs + 1, max: 9e6 }),
    ),
    inline: fc.boolean(),
  }),
  { maxLength: 80 },
);
/** Few enough that random runs meet them. */
const limits = { ...inlineLimits, provingRuns: 3, forgivingRuns: 4 };
const play = (given: readonly InlineRun[], by = limits): InlineState =>
  given.reduce<InlineState>((state, run) => noteInlineRun(state, run, by), unproved);

describe("the plan of runs on the first thread", () => {
  it("lets a model in only after so many short runs of the same shapes, one after the other", () => {
    fc.assert(
      fc.property(runs, (given) => {
        const first = given.findIndex((_, index) => play(given.slice(0, index + 1)).kind === "proved");
        fc.pre(first !== -1);
        const proof = given.slice(Math.max(0, first + 1 - limits.provingRuns), first + 1);
        expect(proof).toHaveLength(limits.provingRuns);
        expect(new Set(proof.map(({ shapes }) => shapes)).size).toBe(1);
        expect(proof.every(({ runUs }) => runUs <= inlineLimits.maxRunUs)).toBe(true);
      }),
    );
  });

  it("lets no other shapes in than those that were proved", () => {
    fc.assert(
      fc.property(runs, (given) => {
        const state = play(given);
        const admitted = ["x:1x4", "x:2x4"].filter((shapes) => mayRunInline(state, shapes));
        expect(admitted.length).toBeLessThanOrEqual(1);
        if (state.kind === "proved") expect(admitted).toEqual([state.shapes]);
        else expect(admitted).toEqual([]);
      }),
    );
  });

  it("forgives a late run for many short ones in a row, so that rare busy moments never add up to a refusal", () => {
    const run = { shapes: "x:1x4", runUs: 1_000, inline: true };
    const late = { ...run, runUs: limits.maxRunUs + 1 };
    const proved = play(Array.from({ length: limits.provingRuns }, () => ({ ...run, inline: false })));
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 60 }), (gaps) => {
        const given = gaps.flatMap((gap) => [late, ...Array.from({ length: gap }, () => run)]);
        const end = given.reduce<InlineState>((state, one) => noteInlineRun(state, one, limits), proved);
        // Late runs that lie too close add up; with enough short ones after each of them they never do.
        if (gaps.every((gap) => gap >= limits.forgivingRuns)) expect(end.kind).toBe("proved");
        if (gaps.every((gap) => gap < limits.forgivingRuns))
          expect(end.kind).toBe(gaps.length >= limits.maxLateRuns ? "proving" : "proved");
      }),
    );
  });

  it("ends for what was late so many times here, never for what was late elsewhere, and comes back after a long row of short runs", () => {
    const short = { shapes: "x:1x4", runUs: 1_000, inline: false };
    const late = { ...short, runUs: inlineLimits.maxRunUs + 1 };
    const times = (count: number, run: InlineRun, from: InlineState) =>
      Array.from({ length: count }, () => run).reduce<InlineState>((state, one) => noteInlineRun(state, one), from);
    const proved = times(inlineLimits.provingRuns, short, unproved);
    expect(times(100, late, proved).kind).toBe("proved");
    expect(times(inlineLimits.maxLateRuns - 1, { ...late, inline: true }, proved).kind).toBe("proved");
    const ended = times(inlineLimits.maxLateRuns, { ...late, inline: true }, proved);
    expect(ended.kind).toBe("proving");
    fc.assert(
      fc.property(runs, (given) => {
        const meanwhile = given.reduce<InlineState>((state, run) => noteInlineRun(state, run), ended);
        expect(meanwhile.kind).toBe("proving");
        const other = { ...short, shapes: "x:3x4" };
        expect(times(inlineLimits.returningRuns - 1, other, meanwhile).kind).toBe("proving");
        expect(times(inlineLimits.returningRuns, other, meanwhile).kind).toBe("proved");
      }),
    );
  });
});
