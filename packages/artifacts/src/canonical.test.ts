import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toCanonicalJson } from "./canonical.ts";
import { createHasher, toDigest, toDocumentDigest } from "./digest.ts";
import { generateKeyPair, parseSigningKey, parseVerificationKey, toPublicKeyPem } from "./keys.ts";
import { createTrustRoots } from "./trust-roots.ts";

describe("the canonical form", () => {
  it("gives the example of RFC 8785 §3.2.2", () => {
    const value: unknown = JSON.parse(
      String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
    );
    expect(toCanonicalJson(value)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    );
  });

  it("does not depend on the order of members and parses back to the same value", () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          fc.jsonValue(),
        ),
        (value) => {
          const clean = JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto")) as Record<string, unknown>;
          const reversed = Object.fromEntries(Object.entries(clean).toReversed());
          expect(toCanonicalJson(reversed)).toBe(toCanonicalJson(clean));
          expect(JSON.parse(toCanonicalJson(clean))).toEqual(JSON.parse(JSON.stringify(clean)));
        },
      ),
    );
  });

  it("refuses everything that is not plain JSON", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(70)}${"]".repeat(70)}`);
    const odd = [Number.NaN, Infinity, undefined, 1n, () => 1, Symbol("s"), new Date(0), new Map(), "\ud800", deep];
    for (const value of [...odd, { a: undefined }, [Number.NaN], JSON.parse('{"__proto__":1}')]) {
      expect(() => toCanonicalJson(value)).toThrow(/ is | holds | has | nests /u);
    }
  });
});

describe("digests", () => {
  it("are the same in one piece and in many", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (pieces) => {
        const hasher = createHasher();
        for (const piece of pieces) hasher.update(piece);
        const whole = Buffer.concat(pieces);
        expect(hasher.sizeBytes).toBe(whole.length);
        expect(hasher.finish()).toBe(toDigest(whole));
      }),
    );
    expect(toDigest("")).toBe("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(toDocumentDigest({ b: 1, a: 2 })).toBe(toDigest('{"a":2,"b":1}'));
  });
});

describe("keys", () => {
  it("keep their identity through PEM, private and public", () => {
    const pair = generateKeyPair();
    expect(parseSigningKey(pair.privateKeyPem).keyId).toBe(pair.keyId);
    expect(parseVerificationKey(pair.publicKeyPem).keyId).toBe(pair.keyId);
    expect(toPublicKeyPem(parseSigningKey(pair.privateKeyPem))).toBe(pair.publicKeyPem);
  });

  it("are refused when they are of another kind, private where public is due, or no keys", () => {
    const pair = generateKeyPair();
    expect(() => parseVerificationKey(pair.privateKeyPem)).toThrow(/public/u);
    expect(() => parseSigningKey(pair.publicKeyPem)).toThrow(/PEM key/u);
    expect(() => parseSigningKey("")).toThrow(/PEM key/u);
    expect(() => createTrustRoots([])).toThrow(/no key/u);
    const trusted = { publicKeyPem: pair.publicKeyPem, types: ["command" as const] };
    expect(() => createTrustRoots([trusted, trusted])).toThrow(/twice/u);
  });
});
