import fc from "fast-check";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, it } from "vitest";
import { checkDistinctKeys } from "./distinct-keys.ts";

interface Listed {
  readonly keytype: string;
  readonly scheme: string;
  readonly keyval: Readonly<Record<string, unknown>>;
}

const toPem = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();
const toDer = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const toHex = (key: KeyObject): string => toDer(key).subarray(-32).toString("hex");
const wrap = (der: Buffer, columns: number): string => {
  const lines = der.toString("base64").match(new RegExp(`.{1,${columns}}`, "gu")) ?? [];
  return ["-----BEGIN PUBLIC KEY-----", ...lines, "-----END PUBLIC KEY-----", ""].join("\n");
};
/** The same point of P-256, one coordinate and the sign of the other. */
const compress = (key: KeyObject): Buffer => {
  const point = toDer(key).subarray(-65);
  const head = Buffer.from("3039301306072a8648ce3d020106082a8648ce3d030107032200", "hex");
  return Buffer.concat([head, Buffer.from([2 + ((point.at(-1) ?? 0) & 1)]), point.subarray(1, 33)]);
};

const ed25519 = generateKeyPairSync("ed25519").publicKey;
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 }).publicKey;
const edKey = (text: string, more: object = {}): Listed => ({
  ...{ keytype: "ed25519", scheme: "ed25519", keyval: { public: text, ...more } },
});
const ecKey = (text: string): Listed => ({ keytype: "ecdsa", scheme: "ecdsa-sha2-nistp256", keyval: { public: text } });
const rsaKey = (text: string): Listed => ({ keytype: "rsa", scheme: "rsassa-pss-sha256", keyval: { public: text } });

const strangeKey = (text: string): Listed => ({ keytype: "new", scheme: "new", keyval: { public: text } });

const check = (...keys: readonly Listed[]) => {
  const listed = Object.fromEntries(keys.map((key, index) => [`id-${index}`, key]));
  return () => checkDistinctKeys(Buffer.from(JSON.stringify({ signed: { keys: listed } })));
};
const twice = /one key under two names/u;
const other = edKey(toHex(generateKeyPairSync("ed25519").publicKey));

describe("A3 one key under two names", () => {
  it.each<readonly [string, Listed, Listed]>([
    ["the same text", edKey(toHex(ed25519)), edKey(toHex(ed25519))],
    ["upper-case digits", edKey(toHex(ed25519)), edKey(toHex(ed25519).toUpperCase())],
    ["half a byte after its end", edKey(toHex(ed25519)), edKey(`${toHex(ed25519)}a`)],
    ["another member beside it", edKey(toHex(ed25519)), edKey(toHex(ed25519), { note: "x" })],
    ["digits and PEM", edKey(toHex(ed25519)), edKey(toPem(ed25519))],
    ["another type", edKey(toPem(ed25519)), ecKey(toPem(ed25519))],
    ["other line breaks", ecKey(toPem(ec)), ecKey(wrap(toDer(ec), 20))],
    ["line ends of another system", rsaKey(toPem(rsa)), rsaKey(toPem(rsa).replaceAll("\n", "\r\n"))],
    ["text behind the PEM", rsaKey(toPem(rsa)), rsaKey(`${toPem(rsa)}and more`)],
    ["a point in PEM and in digits", ecKey(toPem(ec)), ecKey(toDer(ec).subarray(-65).toString("hex"))],
    ["a compressed point", ecKey(toPem(ec)), ecKey(wrap(compress(ec), 64))],
    ["a scheme that nobody knows", rsaKey(toPem(rsa)), { ...rsaKey(toPem(rsa)), scheme: "unknown" }],
    ["a type that nobody knows", strangeKey("AbC dEf"), strangeKey("abc\nDEF")],
  ])("is found as %s", (_what, first, second) => {
    expect(check(first, second)).toThrow(twice);
    expect(check(second, other, first)).toThrow(twice);
    expect(check(first, other)).not.toThrow();
  });

  it("is found among delegations too, also beside a list that nobody asked for", () => {
    const pair = { one: edKey(toHex(ed25519)), two: edKey(toHex(ed25519).toUpperCase()) };
    const delegating = (signed: object) => () => checkDistinctKeys(Buffer.from(JSON.stringify({ signed })));
    expect(delegating({ delegations: { keys: pair } })).toThrow(twice);
    expect(delegating({ keys: {}, delegations: { keys: pair } })).toThrow(twice);
    expect(delegating({ keys: { one: pair.one }, delegations: { keys: { two: pair.two } } })).not.toThrow();
  });

  it("is not asked of a kind of key whose forms cannot be told apart: that kind is refused", () => {
    const bound = generateKeyPairSync("rsa-pss", { modulusLength: 2_048 }).publicKey;
    expect(check(rsaKey(toPem(bound)))).toThrow(/rsa-pss/u);
  });

  it("is found in every mixture of cases, and never where the keys differ", () => {
    const keyBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const hex = keyBytes.map((bytes) => Buffer.from(bytes).toString("hex"));
    fc.assert(
      fc.property(hex, fc.infiniteStream(fc.boolean()), (text, isUpper) => {
        const spelled = text
          .split("")
          .map((digit) => (isUpper.next().value ? digit.toUpperCase() : digit))
          .join("");
        expect(check(edKey(text), edKey(spelled))).toThrow(twice);
      }),
    );
    fc.assert(
      fc.property(fc.uniqueArray(hex, { maxLength: 20 }), (texts) => {
        expect(check(...texts.map((text) => edKey(text)))).not.toThrow();
      }),
    );
  });

  it("takes documents that hold no keys, or none where keys belong, as they are", () => {
    for (const document of [null, 1, {}, { signed: null }, { signed: { keys: 1, delegations: null } }])
      expect(() => checkDistinctKeys(Buffer.from(JSON.stringify(document)))).not.toThrow();
  });

  it("A7 is looked for in little time among as many keys as a document may hold", () => {
    // Bytes of any value are a key of Ed25519 as far as its form goes.
    const toOwn = (index: number) => edKey(index.toString(16).padStart(64, "0"));
    const find = check(...Array.from({ length: 2_048 }, (_, index) => toOwn(index)));
    const begun = process.cpuUsage();
    expect(find).not.toThrow();
    const { user, system } = process.cpuUsage(begun);
    // In µs: a twentieth of it here; points of P-256 and P-521 take no longer.
    expect(user + system).toBeLessThan(2_000_000);
  });
});
