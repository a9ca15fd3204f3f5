import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@fairlead/store";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { advance, createSequenceTracker, skipGap } from "./sequence.ts";

describe("sequence numbers", () => {
  test("advance over what is contiguous and stop at a hole", () => {
    const ahead = new Set([3, 4, 6]);
    expect(advance(2, ahead)).toBe(4);
    expect([...ahead]).toEqual([6]);
  });

  test("count what a given-up hole lacks", () => {
    const row = { device: "d", epoch: "e", storedUpTo: 2, gaps: 1, gapSinceMs: 1, touchedAtMs: 1 };
    const ahead = new Set([5, 6, 9]);
    expect(skipGap(row, ahead)).toMatchObject({ storedUpTo: 6, gaps: 3 });
    expect([...ahead]).toEqual([9]);
  });

  test("in any order and however often, are accepted once and covered to the first hole", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sequence-"));
    const store = openStore({ folder, nowMs: 1 });
    let run = 0;
    const orders = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(orders, fc.integer({ min: 1, max: 5 }), async (sent, batch) => {
        run += 1;
        const epoch = `epoch${run}`;
        const accepted: number[] = [];
        let upTo = 0;
        // The first message fixes where an epoch begins.
        const all = [1, ...sent];
        for (let start = 0; start < all.length; start += batch) {
          await store.transaction(async (tx) => {
            const tracker = createSequenceTracker(tx);
            for (const seq of all.slice(start, start + batch)) {
              if (await tracker.accept({ device: "d", epoch, seq }, 1)) accepted.push(seq);
            }
            upTo = (await tracker.save())[0]?.upTo ?? -1;
          });
        }
        const unique = new Set(all);
        expect(accepted.toSorted((a, b) => a - b)).toEqual([...unique].toSorted((a, b) => a - b));
        let contiguous = 0;
        while (unique.has(contiguous + 1)) contiguous += 1;
        expect(upTo).toBe(contiguous);
      }),
      { numRuns: 60 },
    );
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
});
