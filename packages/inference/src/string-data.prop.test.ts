import fc from "fast-check";
import { expect, it } from "vitest";
import { countStrings, decodeStrings, encodeStrings } from "./string-data.ts";

it("gives back every text that was encoded, at whatever place in a larger buffer", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), fc.nat(5), (strings, shift) => {
      // A lone surrogate is no text; UTF-8 has no form for it.
      const texts = strings.map((text) => text.toWellFormed());
      const bytes = encodeStrings(texts);
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      expect(decodeStrings(moved.subarray(shift))).toEqual(texts);
      expect(countStrings(bytes)).toBe(texts.length);
    }),
  );
});

it("reads nothing from bytes that are cut, changed or no UTF-8, and never beyond their end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const strings = decodeStrings(bytes);
      if (strings !== null) expect(encodeStrings(strings)).toEqual(bytes);
    }),
  );
  const good = encodeStrings(["abc", "d"]);
  expect(decodeStrings(good.subarray(0, -1))).toBeNull();
  expect(decodeStrings(Uint8Array.of(1, 0, 0, 0, 0xff))).toBeNull();
  expect(decodeStrings(Uint8Array.of(0xff, 0xff, 0xff, 0xff))).toBeNull();
  expect(countStrings(new Uint8Array(4 * 1_048_577))).toBeNull();
});
