import { silentLogger } from "@fairlead/kernel";
import { maxPlaneStarts } from "@fairlead/protocol";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPlaneStarts, judgeStarts } from "./plane-starts.ts";

const start = fc.stringMatching(/^[0-9a-f]{16}$/u);
const pick = fc.uniqueArray(start, { minLength: 3, maxLength: 40 });

describe("the starts of a plane", () => {
  it("are one line as long as each list remembers the start that was met before, however many were missed", () => {
    fc.assert(
      fc.property(pick, fc.array(fc.nat(100)), (all, meetings) => {
        let known: string | null = null;
        const ordered = meetings.map((at) => at % all.length).toSorted((left, right) => left - right);
        for (const at of ordered) {
          const verdict = judgeStarts(known, all.slice(0, at + 1).toReversed());
          expect(verdict.kind).toBe("continued");
          known = verdict.last;
        }
      }),
    );
  });

  it("are two lines when a copy's start was met in between, whichever comes first", () => {
    fc.assert(
      fc.property(pick, ([shared = "", one = "", other = ""]) => {
        expect(judgeStarts(one, [other, shared])).toEqual({ kind: "forked", last: other, known: one });
        expect(judgeStarts(other, [one, shared]).kind).toBe("forked");
      }),
    );
  });

  it("say nothing when the list is full, since what is missing may have fallen off its end", () => {
    const full = Array.from({ length: maxPlaneStarts }, (_, index) => index.toString(16).padStart(16, "0"));
    expect(judgeStarts("f".repeat(16), full).kind).toBe("continued");
    expect(judgeStarts("f".repeat(16), full.slice(1)).kind).toBe("forked");
  });

  it("are told once per fork, and remembered before they are told", () => {
    const told: string[] = [];
    const saves: string[] = [];
    const observe = createPlaneStarts({
      saved: { load: () => undefined, save: ({ last }) => void saves.push(last) },
      emit: (data) => {
        if (data.kind === "plane-forked") told.push(`${data.known}→${data.seen}, saved ${saves.at(-1)}`);
      },
      logger: silentLogger,
    });
    const [a, b] = ["a".repeat(16), "b".repeat(16)];
    for (const starts of [[], [a], [a], [b], [b], [a]]) observe(starts);
    expect(told).toEqual([`${a}→${b}, saved ${b}`, `${b}→${a}, saved ${a}`]);
  });
});
