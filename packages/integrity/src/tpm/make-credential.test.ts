import {
  createDecipheriv,
  createECDH,
  createHmac,
  constants,
  generateKeyPairSync,
  privateDecrypt,
  randomBytes,
} from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toSized } from "./byte-reader.ts";
import { kdfa, kdfe } from "./key-derivation.ts";
import { makeCredential, type Credential } from "./make-credential.ts";
import { parseTpmPublic, type TpmPublic } from "./tpm-public.ts";

const storageAttributes = 0x000300b2;
const u16 = (value: number) => Buffer.from([value >>> 8, value % 256]);
const u32 = (value: number) => Buffer.concat([u16(Math.floor(value / 65_536)), u16(value % 65_536)]);
const aes128Cfb = Buffer.from("000600800043", "hex");
const none = Buffer.from("0010", "hex");
const policy = toSized(Buffer.alloc(32, 7));

const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const modulus = Buffer.from(rsa.publicKey.export({ format: "jwk" }).n ?? "", "base64url");
/** A TPM2B_PUBLIC as a TPM writes it, of the usual endorsement key or of what a test makes of it. */
const toRsaArea = (attributes = storageAttributes, symmetric = aes128Cfb) =>
  toSized(
    Buffer.concat([
      u16(1),
      u16(0x000b),
      u32(attributes),
      policy,
      symmetric,
      none,
      u16(2_048),
      u32(0),
      toSized(modulus),
    ]),
  );
const p256 = createECDH("prime256v1");
const point = p256.generateKeys();
const toEccArea = () =>
  toSized(
    Buffer.concat([
      ...[u16(0x23), u16(0x000b), u32(storageAttributes), policy, aes128Cfb, none, u16(3), none],
      ...[toSized(point.subarray(1, 33)), toSized(point.subarray(33))],
    ]),
  );

/** What the TPM does with it (TPM2_ActivateCredential): check, then open. Undefined: it refuses. */
function open(credential: Credential, seed: Buffer, name: Uint8Array): Buffer | undefined {
  const blob = credential.credentialBlob.subarray(2);
  const integrity = blob.subarray(2, 34);
  const identity = blob.subarray(34);
  const hmacKey = kdfa({ key: seed, label: "INTEGRITY", bits: 256 });
  if (!createHmac("sha256", hmacKey).update(identity).update(name).digest().equals(integrity)) return undefined;
  const key = kdfa({ key: seed, label: "STORAGE", contextU: name, bits: 128 });
  const cipher = createDecipheriv("aes-128-cfb", key, Buffer.alloc(16));
  return Buffer.concat([cipher.update(identity), cipher.final()]).subarray(2);
}

function toSeed(credential: Credential, kind: TpmPublic["key"]["kind"]): Buffer {
  const secret = credential.encryptedSecret.subarray(2);
  if (kind === "rsa")
    return privateDecrypt(
      {
        key: rsa.privateKey,
        padding: constants.RSA_PKCS1_OAEP_PADDING,
        oaepHash: "sha256",
        oaepLabel: Buffer.from("IDENTITY\0"),
      },
      secret,
    );
  const [x, y] = [secret.subarray(2, 34), secret.subarray(36)];
  const z = p256.computeSecret(Buffer.concat([Buffer.from([4]), x, y]));
  return kdfe({ z, label: "IDENTITY", partyU: x, partyV: point.subarray(1, 33) });
}

describe("a credential", () => {
  it.each(["rsa", "p256"] as const)(
    "is opened by the endorsement key (%s) with the object of its name only",
    (kind) => {
      const endorsement = parseTpmPublic(kind === "rsa" ? toRsaArea() : toEccArea());
      expect(endorsement.key.kind).toBe(kind);
      const bytes = fc.uint8Array({ minLength: 1, maxLength: 32 });
      const names = fc.uint8Array({ minLength: 34, maxLength: 34 });
      fc.assert(
        fc.property(bytes, names, names, (secret, name, other) => {
          const credential = makeCredential({ endorsement, name, secret, random: randomBytes });
          const seed = toSeed(credential, kind);
          expect(open(credential, seed, name)).toEqual(Buffer.from(secret));
          if (!Buffer.from(other).equals(name)) expect(open(credential, seed, other)).toBeUndefined();
        }),
        { numRuns: 20 },
      );
    },
  );

  it.each([
    ["that signs", storageAttributes + 2 ** 18, aes128Cfb],
    ["that may leave its TPM", storageAttributes - 2 ** 1, aes128Cfb],
    ["that a host made", storageAttributes - 2 ** 5, aes128Cfb],
    ["that is not restricted", storageAttributes - 2 ** 16, aes128Cfb],
    ["under another cipher", storageAttributes, Buffer.from("000601000043", "hex")],
    ["under none", storageAttributes, none],
  ])("is not made for a key %s", (_, attributes, symmetric) => {
    const endorsement = parseTpmPublic(toRsaArea(attributes, symmetric));
    const input = { endorsement, name: Buffer.alloc(34), secret: Buffer.alloc(32), random: randomBytes };
    expect(() => makeCredential(input)).toThrow(expect.objectContaining({ code: "endorsement_unsupported" }));
  });
});

describe("a public area", () => {
  it("has a name that every byte of it changes, or is refused by a code", () => {
    const area = toEccArea();
    const { name } = parseTpmPublic(area);
    for (let at = 0; at < area.length; at += 1) {
      const changed = Buffer.from(area);
      changed[at] = (changed[at] ?? 0) ^ 0x01;
      try {
        expect(parseTpmPublic(changed).name, `byte ${at}`).not.toEqual(name);
      } catch (error) {
        expect(error, `byte ${at}`).toMatchObject({ code: "tpm_malformed" });
      }
    }
  });

  it("that is cut short, goes on, or is anything else is refused by a code", () => {
    const area = toRsaArea();
    for (let end = 0; end < area.length; end += 1)
      expect(() => parseTpmPublic(area.subarray(0, end))).toThrow(expect.objectContaining({ code: "tpm_malformed" }));
    expect(() => parseTpmPublic(Buffer.concat([area, Buffer.alloc(1)]))).toThrow("follow its end");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(() => parseTpmPublic(toSized(bytes))).toThrow(expect.objectContaining({ code: "tpm_malformed" }));
      }),
    );
  });
});
