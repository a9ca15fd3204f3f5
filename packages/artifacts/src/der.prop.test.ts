import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { derTag, toDer, toDerInteger, toPem } from "./der.ts";

/** Reads one element back: its length by the rules of BER, which are wider. */
function read(der: Uint8Array): { readonly tag: number; readonly content: Uint8Array; readonly headBytes: number } {
  const [tag = -1, first = 0] = der;
  const more = first < 0x80 ? 0 : first - 0x80;
  const size = more === 0 ? first : Number(`0x${Buffer.from(der.subarray(2, 2 + more)).toString("hex")}`);
  return { tag, content: der.subarray(2 + more, 2 + more + size), headBytes: 2 + more };
}

describe("DER", () => {
  it("holds what was put into it, under the shortest length that says how much that is", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 300 }), (parts) => {
        const der = toDer(derTag.sequence, ...parts);
        const { tag, content, headBytes } = read(der);
        const whole = Buffer.concat(parts);
        expect([tag, Buffer.from(content).equals(whole)]).toEqual([0x30, true]);
        expect(der.length).toBe(headBytes + whole.length);
        expect(headBytes).toBe(whole.length < 128 ? 2 : whole.length < 256 ? 3 : whole.length < 65_536 ? 4 : 5);
      }),
    );
  });

  it("writes a number that is not negative so that it reads as itself, with no byte too many", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), fc.nat({ max: 3 }), (value, zeros) => {
        const { tag, content } = read(toDerInteger(`${"0".repeat(zeros)}${value.toString(16)}`));
        expect(tag).toBe(derTag.integer);
        expect(BigInt(`0x${Buffer.from(content).toString("hex")}`)).toBe(value);
        // The first bit is the sign.
        expect(content[0] ?? 0xff).toBeLessThan(0x80);
        const isShortest = content.length === 1 || content[0] !== 0 || (content[1] ?? 0) >= 0x80;
        expect(isShortest).toBe(true);
      }),
    );
  });

  it("is text in lines of 64 under its label", () => {
    const pem = toPem("X509 CRL", new Uint8Array(100));
    expect(pem.split("\n").map((line) => line.length)).toEqual([24, 64, 64, 8, 22, 0]);
    expect(Buffer.from(pem.split("\n").slice(1, -2).join(""), "base64")).toEqual(Buffer.alloc(100));
  });
});
