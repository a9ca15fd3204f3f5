import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseInferRequest } from "./infer-request.ts";
import { countJson, type JsonCounts } from "./json-bounds.ts";

/** What the counts have to be, from what JSON.parse made of the document. */
function countValue(value: unknown, above = 0): JsonCounts {
  const none = { values: 1, strings: 0, arrays: 0, objects: 0, members: 0, depth: above };
  if (typeof value !== "object" || value === null) return { ...none, strings: typeof value === "string" ? 1 : 0 };
  const parts = Object.values(value).map((part) => countValue(part, above + 1));
  const sum = (key: keyof JsonCounts) => parts.reduce((total, part) => total + part[key], 0);
  const isObject = !Array.isArray(value);
  return {
    values: 1 + (parts.length === 0 ? 1 : sum("values")),
    strings: sum("strings") + (isObject ? parts.length : 0),
    arrays: sum("arrays") + (isObject ? 0 : 1),
    objects: sum("objects") + (isObject ? 1 : 0),
    members: sum("members") + (isObject ? parts.length : 0),
    depth: Math.max(above + 1, ...parts.map(({ depth }) => depth)),
  };
}

const target = { name: "m", inputs: [], outputs: [] };
const toCode = (bytes: Buffer): unknown => {
  try {
    parseInferRequest(target, { bytes, jsonBytes: null });
    return "read";
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code}: ${message}`;
  }
};
const toTensor = (count: number, data: string | Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(`{"inputs":[{"name":"x","datatype":"FP32","shape":[${count}],"data":[`),
    Buffer.from(data),
    Buffer.from("]}]}"),
  ]);

describe("the bounds of a request's JSON", () => {
  it("count what JSON.parse would make, whatever stands in strings", () => {
    const unit = fc.constantFrom(
      '"',
      "\\",
      "\\\\",
      '\\"',
      "[",
      "]",
      "{",
      "}",
      ",",
      ":",
      "é",
      "\u0000",
      "\u{1f600}",
      "a",
    );
    const text = fc.oneof(fc.string({ unit }), fc.string());
    const { document } = fc.letrec((tie) => ({
      document: fc.oneof(
        { depthSize: "small", withCrossShrink: true },
        fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
        fc.array(tie("document"), { maxLength: 6 }),
        fc.dictionary(text, tie("document"), { maxKeys: 6 }),
      ),
    }));
    fc.assert(
      fc.property(document, fc.constantFrom(0, 1, "\t"), fc.boolean(), (value, space, escaped) => {
        const plain = JSON.stringify(value, null, space);
        // Quotes as \u0022 are a spelling of their own.
        const written = escaped ? plain.replaceAll(/\\./gu, (pair) => (pair === '\\"' ? "\\u0022" : pair)) : plain;
        expect(countJson(Buffer.from(written))).toEqual(countValue(JSON.parse(written)));
      }),
      { numRuns: 1_000 },
    );
  });

  it("count any bytes without an end or an error", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => countJson(bytes).values > 0));
    expect(countJson(Buffer.from('["\\')).values).toBe(2);
  });

  it("admit a million numbers and refuse one more value, with the way out", () => {
    // The document has 8 values beside the data.
    expect(toCode(toTensor(1_048_568, Buffer.alloc(2 * 1_048_568 - 1, "1,")))).toBe("read");
    expect(toCode(toTensor(1_048_569, Buffer.alloc(2 * 1_048_569 - 1, "1,")))).toMatch(
      /^request_too_large: .* 1048577 values.* binary data/u,
    );
  });

  it.each([
    ["bytes", Buffer.from(`{"id":"${"x".repeat(17_000_000)}"}`), /^request_too_large: .*bytes.*binary data/u],
    ["objects", Buffer.from(`{"inputs":[${"{},".repeat(5_000)}{}]}`), /^request_too_large: .*5002 objects/u],
    [
      "members",
      Buffer.from(`{${Array.from({ length: 17_000 }, (_, index) => `"k${index}":0`).join(",")}}`),
      /^request_too_large: .*17000 members/u,
    ],
    ["levels", Buffer.from(`{"inputs":${"[".repeat(3_000)}${"]".repeat(3_000)}}`), /^request_malformed: .*64 levels/u],
    ["strings", toTensor(140_000, Buffer.alloc(3 * 140_000 - 1, '"",')), /^request_too_large: .* 14\d{4} strings/u],
    ["arrays", toTensor(140_000, `${"[1],".repeat(140_000)}[1]`), /^request_too_large: .*140004 arrays/u],
    [
      "elements of a shape",
      toTensor(2_147_483_647, "1"),
      /^request_malformed: unexpected number of elements .* 2147483647/u,
    ],
  ])("refuse too many %s", (_name, bytes, expected) => {
    expect(toCode(bytes)).toMatch(expected);
  });

  it("hold for long integers in every input: the document is read a second time once", () => {
    const one = `{"name":"x","datatype":"INT64","shape":[1],"data":[9007199254740993]}`;
    const bytes = Buffer.from(
      `{"id":"a","pad":"${"x".repeat(1_000_000)}","inputs":[${Array(256).fill(one).join(",")}]}`,
    );
    const startedMs = performance.now();
    expect(parseInferRequest(target, { bytes, jsonBytes: null }).inputs).toHaveLength(256);
    // Once takes a tenth of a second at most, 256 times a dozen seconds.
    expect(performance.now() - startedMs).toBeLessThan(2_000);
  });
});
