import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createTargets, signMetadata, toTufKey } from "./index.ts";

const life = { version: 1, expiresAtMs: Date.parse("2099-01-01") };
const toPem = (pair: {
  readonly publicKey: { export: (options: { type: "spki"; format: "pem" }) => string | Buffer };
}) => pair.publicKey.export({ type: "spki", format: "pem" }).toString();

describe("a key of The Update Framework", () => {
  it("is Ed25519 or ECDSA P-256, and what either signs is verified by the library that devices use", async () => {
    const edwards = generateKeyPairSync("ed25519");
    const nist = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const signers = [
      { key: toTufKey(toPem(edwards)), sign: async (bytes: Uint8Array) => sign(null, bytes, edwards.privateKey) },
      { key: toTufKey(toPem(nist)), sign: async (bytes: Uint8Array) => sign("sha256", bytes, nist.privateKey) },
    ];
    expect(signers.map(({ key }) => key.scheme)).toEqual(["ed25519", "ecdsa-sha2-nistp256"]);
    const signed = await signMetadata(createTargets(life), signers);
    for (const { key } of signers) key.verifySignature(signed);
    const touched = await signMetadata(createTargets({ ...life, version: 2 }), []);
    Object.assign(touched.signatures, signed.signatures);
    for (const { key } of signers) expect(() => key.verifySignature(touched)).toThrow(/failed to verify/u);
  });

  it("is no other kind of key, no private key and no other text", () => {
    const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
    expect(() => toTufKey(toPem(rsa))).toThrow(/the key is rsa, not/u);
    const other = generateKeyPairSync("ec", { namedCurve: "P-384" });
    expect(() => toTufKey(toPem(other))).toThrow(/ec secp384r1, not/u);
    const secret = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    expect(() => toTufKey(secret)).toThrow(/not a PEM public key/u);
    expect(() => toTufKey("-----BEGIN PUBLIC KEY-----")).toThrow(/not a PEM key/u);
  });
});
