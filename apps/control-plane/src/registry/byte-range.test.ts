import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isTagListed, parseByteRange } from "./byte-range.ts";

describe("parseByteRange", () => {
  test.each([
    ["bytes=0-0", { kind: "part", first: 0, last: 0 }],
    ["bytes=5-", { kind: "part", first: 5, last: 9 }],
    ["bytes=5-99", { kind: "part", first: 5, last: 9 }],
    ["bytes=-3", { kind: "part", first: 7, last: 9 }],
    ["bytes=-99", { kind: "part", first: 0, last: 9 }],
    ["bytes=10-", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
  ])("reads %s of ten bytes", (header, expected) => {
    expect(parseByteRange(header, 10)).toEqual(expected);
  });

  test.each([null, "", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b", "bytes=0x1-2"])(
    "answers with the whole to %s",
    (header) => {
      expect(parseByteRange(header, 10)).toEqual({ kind: "whole" });
    },
  );

  test("never leaves the representation, whatever the header says", () => {
    const header = fc.oneof(
      fc.string(),
      fc.tuple(fc.nat(), fc.option(fc.nat())).map(([first, last]) => `bytes=${first}-${last ?? ""}`),
    );
    fc.assert(
      fc.property(header, fc.nat(), (text, sizeBytes) => {
        const range = parseByteRange(text, sizeBytes);
        if (range.kind !== "part") return;
        expect(range.first).toBeGreaterThanOrEqual(0);
        expect(range.last).toBeGreaterThanOrEqual(range.first);
        expect(range.last).toBeLessThan(sizeBytes);
      }),
    );
  });
});

test("a weak entity tag never proves the same bytes", () => {
  expect(isTagListed('W/"a"', "a")).toBe(false);
  expect(isTagListed('"b", "a"', "a")).toBe(true);
  expect(isTagListed("*", "a")).toBe(true);
});
