import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { ByteReader, refuseBytes } from "./byte-reader.ts";

/** TPM_ALG_ID, TPM 2.0 Part 2 clause 6.3: those that a key of ours or an endorsement key may name. */
const algorithm = { rsa: 0x0001, aes: 0x0006, sha256: 0x000b, null: 0x0010, rsaes: 0x0015, ecdaa: 0x001a, ecc: 0x0023 };
const curveP256 = 0x0003;
const modeCfb = 0x0043;

/** TPMA_OBJECT, TPM 2.0 Part 2 clause 8.3. */
const attributeBits = {
  fixedTpm: 1,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  restricted: 16,
  decrypt: 17,
  sign: 18,
} as const;
export type TpmAttribute = keyof typeof attributeBits;

export type TpmKey =
  | { readonly kind: "rsa"; readonly modulus: Buffer; readonly exponent: number }
  | { readonly kind: "p256"; readonly x: Buffer; readonly y: Buffer };

/** The public area of an object in a TPM. Its name binds everything here. */
export interface TpmPublic {
  readonly key: TpmKey;
  readonly attributes: ReadonlySet<TpmAttribute>;
  /** Whether what it protects is under AES-128 in cipher feedback mode; only storage keys protect anything. */
  readonly hasAes128Cfb: boolean;
  /** nameAlg and its digest of the public area: 34 bytes (TPM 2.0 Part 1 clause 16, "Names"). */
  readonly name: Buffer;
}

function readSymmetric(reader: ByteReader): boolean {
  const id = reader.u16();
  if (id === algorithm.null) return false;
  const keyBits = reader.u16();
  return id === algorithm.aes && keyBits === 128 && reader.u16() === modeCfb;
}

/** TPMT_ASYM_SCHEME and TPMT_KDF_SCHEME: what follows depends on the algorithm. */
function skipScheme(reader: ByteReader): void {
  const id = reader.u16();
  if (id === algorithm.null || id === algorithm.rsaes) return;
  reader.u16();
  if (id === algorithm.ecdaa) reader.u16();
}

function readRsa(reader: ByteReader): TpmKey {
  skipScheme(reader);
  const bits = reader.u16();
  const exponent = reader.u32();
  const modulus = reader.sized(512);
  if (modulus.length * 8 !== bits) refuseBytes(`a modulus of ${modulus.length} bytes for ${bits} bits`);
  return { kind: "rsa", modulus, exponent: exponent === 0 ? 65_537 : exponent };
}

function readEcc(reader: ByteReader): TpmKey {
  skipScheme(reader);
  if (reader.u16() !== curveP256) refuseBytes("a curve other than NIST P-256");
  skipScheme(reader);
  const [x, y] = [reader.sized(32), reader.sized(32)];
  // A TPM may leave leading zeros out.
  const pad = (part: Buffer) => Buffer.concat([Buffer.alloc(32 - part.length), part]);
  return { kind: "p256", x: pad(x), y: pad(y) };
}

/**
 * TPM2B_PUBLIC (TPM 2.0 Part 2 clause 12.2.5) of an RSA key or an ECC key on P-256, named with SHA-256.
 * @throws CodedError `tpm_malformed`
 */
export function parseTpmPublic(bytes: Uint8Array): TpmPublic {
  const outer = new ByteReader(bytes);
  const area = outer.sized(1_024);
  outer.end();
  const reader = new ByteReader(area);
  const type = reader.u16();
  if (reader.u16() !== algorithm.sha256) refuseBytes("a name algorithm other than SHA-256");
  const bits = reader.u32();
  reader.sized(64);
  if (type !== algorithm.rsa && type !== algorithm.ecc) refuseBytes("neither an RSA nor an ECC key");
  const hasAes128Cfb = readSymmetric(reader);
  const key = type === algorithm.rsa ? readRsa(reader) : readEcc(reader);
  reader.end();
  const names = Object.keys(attributeBits) as TpmAttribute[];
  const attributes = new Set(names.filter((name) => (bits >>> attributeBits[name]) % 2 === 1));
  const digest = createHash("sha256").update(area).digest();
  return { key, attributes, hasAes128Cfb, name: Buffer.concat([Buffer.from([0x00, algorithm.sha256]), digest]) };
}

/** @throws CodedError `tpm_malformed`: a point that is not on the curve, a modulus that is none */
export function toPublicKey(key: TpmKey): KeyObject {
  const encode = (part: Buffer) => part.toString("base64url");
  try {
    if (key.kind === "p256")
      return createPublicKey({
        format: "jwk",
        key: { kty: "EC", crv: "P-256", x: encode(key.x), y: encode(key.y) },
      });
    const exponent = Buffer.alloc(4);
    exponent.writeUInt32BE(key.exponent);
    const e = encode(exponent.subarray(exponent.findIndex((byte) => byte !== 0)));
    return createPublicKey({ format: "jwk", key: { kty: "RSA", n: encode(key.modulus), e } });
  } catch {
    return refuseBytes("its key is not on the curve, or no key");
  }
}

/** SHA-256 of the key's SubjectPublicKeyInfo (DER), hexadecimal: by this an operator knows an endorsement key. */
export function toKeyFingerprint(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");
}
