import fc from "fast-check";
import { expect, it } from "vitest";
import { decideNextAttempt, maxBreaks, noAttempts, type Ending } from "./attempts.ts";

const policy = { baseMs: 100, maxMs: 5_000 };
const endings = fc.array(
  fc.record({
    ending: fc.constantFrom<Ending>("later", "broken"),
    random: fc.double({ min: 0, max: 0.99, noNaN: true }),
  }),
  { maxLength: 40 },
);

it("gives an input up with its last allowed break and never before, however often it has to wait", () => {
  fc.assert(
    fc.property(endings, (list) => {
      let attempts = noAttempts;
      let broken = 0;
      for (const { ending, random } of list) {
        if (ending === "broken") broken += 1;
        const next = decideNextAttempt(attempts, ending, { policy, random });
        expect(next.kind).toBe(broken === maxBreaks ? "give-up" : "again");
        if (next.kind === "give-up") return;
        expect(next.attempts).toEqual({ failures: attempts.failures + 1, breaks: broken });
        expect(next.waitMs).toBeGreaterThanOrEqual(0);
        expect(next.waitMs).toBeLessThanOrEqual(policy.maxMs);
        ({ attempts } = next);
      }
    }),
  );
});
