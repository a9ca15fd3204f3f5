import fc from "fast-check";
import { expect, it } from "vitest";
import { judgeAddress } from "./address-policy.ts";
import { hasErrorCode } from "@fairlead/kernel";
import { parseTarget } from "./target.ts";

const policy = { allowsPlainHttp: true, ports: "any" } as const;

/** First address and prefix of what is refused under every policy, and of what `public-only` refuses as well. */
const never = [
  [0x00000000, 8],
  [0xa9fe0000, 16],
  [0xe0000000, 4],
  [0xf0000000, 4],
] as const;
const notPublic = [
  ...never,
  [0x7f000000, 8],
  [0x0a000000, 8],
  [0xac100000, 12],
  [0xc0a80000, 16],
  [0x64400000, 10],
] as const;

const inRange = (ranges: readonly (readonly [number, number])[]) =>
  fc.constantFrom(...ranges).chain(([begin, bits]) => fc.integer({ min: begin, max: begin + 2 ** (32 - bits) - 1 }));

const toBytes = (address: number) => [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256);
const inBase = (value: number, base: number) => {
  if (base === 16) return `0x${value.toString(16)}`;
  return base === 8 ? `0${value.toString(8)}` : String(value);
};
const base = fc.constantFrom(8, 10, 16);
const percent = (text: string) => Array.from(text, (sign) => `%${sign.charCodeAt(0).toString(16)}`).join("");

/** Every way in which one IPv4 address can be written as the host of a URL. */
const spelling = (address: number) =>
  fc
    .tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.array(base, { minLength: 4, maxLength: 4 }),
      fc.integer({ min: 0, max: 9 }),
    )
    .map(([parts, bases, form]) => {
      const bytes = toBytes(address);
      const heads = bytes.slice(0, parts - 1);
      const rest = bytes.slice(parts - 1).reduce((sum, byte) => sum * 256 + byte, 0);
      const numbers = [...heads, rest].map((value, index) => inBase(value, bases[index] ?? 10)).join(".");
      const decimal = bytes.join(".");
      const [high, low] = [address >>> 16, address & 0xffff].map((word) => word.toString(16));
      switch (form) {
        case 0:
          return `[::ffff:${decimal}]`;
        case 1:
          return `[::ffff:${high}:${low}]`;
        case 2:
          return `[::${decimal}]`;
        case 3:
          return `[64:ff9b::${decimal}]`;
        case 4:
          return `[2002:${high}:${low}::1]`;
        case 5:
          return percent(numbers);
        case 6:
          return `${numbers}.`;
        case 7:
          return Array.from(decimal, (sign) => (sign === "." ? "。" : sign)).join("");
        case 8:
          return Array.from(decimal, (sign) =>
            sign === "." ? sign : String.fromCodePoint(0xff10 + Number(sign)),
          ).join("");
        default:
          return numbers;
      }
    });

function isReached(host: string, addresses: Parameters<typeof judgeAddress>[1]): boolean {
  try {
    const target = parseTarget(`http://${host}/x`, policy);
    return !target.isAddress || judgeAddress(target.host, addresses).kind === "allowed";
  } catch (error) {
    if (hasErrorCode(error, "url_refused")) return false;
    throw error;
  }
}

it("A52 reaches no address that is not public, in whatever spelling", () => {
  const cases = inRange(notPublic).chain((address) => spelling(address));
  fc.assert(
    fc.property(cases, (host) => {
      expect(isReached(host, { kind: "public-only" })).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

it("A52 reaches no link-local, unspecified, multicast or reserved address in a site, in whatever spelling", () => {
  const cases = inRange(never).chain((address) => spelling(address));
  fc.assert(
    fc.property(cases, (host) => {
      expect(isReached(host, { kind: "site", allowsLoopback: false })).toBe(false);
    }),
    { numRuns: 5_000 },
  );
});

it("reaches public addresses in each numeric spelling, so that the refusals say something", () => {
  const fourParts = fc.constantFrom("8.8.8.8", "0x8.8.8.8", "134744072", "8.8.2056", "010.8.8.8", "%38.8.8.8");
  fc.assert(
    fc.property(fourParts, (host) => {
      expect(isReached(host, { kind: "public-only" })).toBe(true);
    }),
  );
});
