import fc from "fast-check";
import { expect, it } from "vitest";
import { toBackoffDelayMs } from "./backoff.ts";

it("keeps every delay between zero and the ceiling", () => {
  fc.assert(
    fc.property(fc.nat(10_000), fc.double({ min: 0, max: 0.999999, noNaN: true }), (attempt, random) => {
      const delayMs = toBackoffDelayMs({ baseMs: 100, maxMs: 30_000 }, attempt, random);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(30_000);
    }),
  );
});
