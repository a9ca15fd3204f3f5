import { CodedError } from "@fairlead/kernel";
import fc from "fast-check";
import { expect, it } from "vitest";
import { checkStrictJson } from "./strict-json.ts";

const check = (text: string) => () => checkStrictJson(Buffer.from(text));

it.each([
  ["a member twice", '{"a":{"version":1,"version":2}}', /twice/u],
  ["the same member in another spelling", '{"version":1,"\\u0076ersion":2}', /twice/u],
  ["deep nesting", `${"[".repeat(10_000)}${"]".repeat(10_000)}`, /deeper/u],
  ["a number beyond all numbers", '{"version":1e400}', /1e400/u],
  ["minus zero", '{"version":-0}', /-0/u],
  ["a number that no double holds", '{"version":9007199254740993}', /9007199254740993/u],
  ["a fraction", '{"version":1.0}', /1\.0/u],
  ["something after the end", '{"version":1} trailing', /not JSON/u],
  ["two documents", '{"version":1}{"version":2}', /not JSON/u],
  ["a byte order mark", '\uFEFF{"version":1}', /byte order mark/u],
  ["ten thousand delegations", `{"roles":[${'{"name":"x"},'.repeat(9_999)}{}]}`, /2048 members/u],
  ["nothing", "", /not JSON/u],
])("A8 refuses %s", (_what, text, message) => {
  expect(check(text)).toThrow(message);
});

it("A8 refuses bytes that are not UTF-8", () => {
  expect(() => checkStrictJson(Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(/UTF-8/u);
});

it.each([
  ["a text that is never closed", '"'.padEnd(5_000_000, "a")],
  ["quotes behind backslashes, never closed", '\\"'.repeat(2_500_000)],
  ["quotes behind backslashes up to a last backslash", `${'"'.padEnd(4_999_999, '\\"')}\\`],
  ["a name that is no text", `{"${"\\q".repeat(100)}":1}`],
  ["five million brackets", "[".repeat(5_000_000)],
  ["five million digits", "1".repeat(5_000_000)],
  ["five million signs", "-".repeat(5_000_000)],
])(
  "A7 is done with %s in time that grows with its length alone",
  (_what, text) => {
    const begunMs = performance.now();
    expect(check(text)).toThrow(CodedError);
    // A second for what takes a tenth of it here; the same bytes took hours when each quote was a new beginning.
    expect(performance.now() - begunMs).toBeLessThan(1_000);
  },
  30_000,
);

it("admits every JSON of plain integers, texts and truths, whatever the texts hold", () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.string({ unit: "grapheme" }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("any"), { maxLength: 4 }),
      fc.dictionary(fc.string(), tie("any"), { maxKeys: 4 }),
    ),
  })).any;
  fc.assert(
    fc.property(value, (json) => {
      expect(check(JSON.stringify(json, null, 1))).not.toThrow("refused");
      checkStrictJson(Buffer.from(JSON.stringify(json)));
    }),
  );
});
