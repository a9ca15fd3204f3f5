import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseWellFormedJson, toWellFormed } from "./well-formed.ts";

describe("data that is to be told in canonical JSON", () => {
  test("has no lone surrogate, in texts and names, and no number that is none", () => {
    const told = toWellFormed({
      "a\ud800": ["x\udc00y", 1, Number.NaN, -Infinity, null, true],
      deep: { b: "😀".slice(0, 1) },
    });
    expect(told).toEqual({ "a\ufffd": ["x\ufffdy", 1, "NaN", "-Infinity", null, true], deep: { b: "\ufffd" } });
  });

  test("is left as it is when it is well-formed", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
        const text = JSON.stringify(value);
        expect(parseWellFormedJson(text)).toEqual(JSON.parse(text));
        expect(JSON.stringify(toWellFormed(JSON.parse(text)))).toBe(text);
      }),
    );
  });

  test("is parsed from any JSON, and every string of it is well-formed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom("\ud800", "\udbff", "\udc00", "\udfff", "\\", "u", "d8", "a") })),
        (texts) => {
          const parsed = parseWellFormedJson(JSON.stringify(texts)) as string[];
          expect(parsed.every((text) => text.isWellFormed())).toBe(true);
          expect(parsed).toEqual(texts.map((text) => text.toWellFormed()));
        },
      ),
    );
  });
});
