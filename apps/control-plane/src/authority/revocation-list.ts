import { webcrypto } from "node:crypto";
import { derTag, ecdsaWithSha256, toDer, toDerInteger, toPem } from "@fairlead/artifacts";
import { backdateMs, type Authority } from "./certificates.ts";

/**
 * A broker that was brought no newer list for so long refuses everybody, since OpenSSL takes no list that is over. Whoever
 * cuts a broker off from the plane so wins a week for a stolen certificate, and then nothing.
 */
export const listLifeMs = 7 * 86_400_000;

export interface Revoked {
  /** Hexadecimal. */
  readonly serial: string;
  readonly endedAtMs: number;
}

const numberId = toDer(derTag.id, Buffer.from("551d14", "hex"));
const keyIdentifierId = "2.5.29.14";
const authorityKeyIdentifierId = toDer(derTag.id, Buffer.from("551d23", "hex"));
const version2 = toDerInteger("1");

/**
 * Certificate revocation list in PEM (RFC 5280, section 5): v2, with the authority's key identifier and a number that grows.
 * Written out here: the library that writes the certificates looks through all entries for each, and took 6 s for ten
 * thousand of them, during which the plane did nothing else.
 */
export async function createRevocationList(
  authority: Authority,
  { revoked, nowMs }: { readonly revoked: readonly Revoked[]; readonly nowMs: number },
): Promise<string> {
  const entries = revoked.map(({ serial, endedAtMs }) =>
    toDer(derTag.sequence, toDerInteger(serial), toDerTime(endedAtMs)),
  );
  const extensions = toDer(derTag.sequence, toAuthorityKeyIdentifier(authority), toNumber(nowMs));
  const content = toDer(
    derTag.sequence,
    version2,
    ecdsaWithSha256,
    new Uint8Array(authority.certificate.subjectName.toArrayBuffer()),
    // As certificates do, it begins in the past: the broker's clock may be slow.
    toDerTime(nowMs - backdateMs),
    toDerTime(nowMs + listLifeMs),
    // Absent where nothing is revoked (section 5.1.2.6).
    ...(entries.length === 0 ? [] : [toDer(derTag.sequence, Buffer.concat(entries))]),
    toDer(derTag.context0, extensions),
  );
  const signature = await signWith(authority, content);
  const list = toDer(derTag.sequence, content, ecdsaWithSha256, toDer(derTag.bits, Buffer.from([0]), signature));
  return toPem("X509 CRL", list);
}

/** Section 5.2.1: the identifier that the authority's own certificate has. */
function toAuthorityKeyIdentifier({ certificate }: Authority): Buffer {
  const own = certificate.getExtension(keyIdentifierId);
  if (own === null) throw new Error("the authority's certificate has no key identifier");
  // Its value is an OCTET STRING; here it stands as [0], implicit.
  const identifier = Buffer.from(own.value).subarray(2);
  const value = toDer(derTag.sequence, toDer(0x80, identifier));
  return toDer(derTag.sequence, authorityKeyIdentifierId, toDer(derTag.octets, value));
}

/** CRL number (section 5.2.3). */
function toNumber(nowMs: number): Buffer {
  const value = toDerInteger(BigInt(Math.floor(nowMs)).toString(16));
  return toDer(derTag.sequence, numberId, toDer(derTag.octets, value));
}

/** Time (section 5.1.2.4), whole seconds: with two digits of the year until 2049, with four after it. */
function toDerTime(tsMs: number): Buffer {
  const text = new Date(tsMs).toISOString().replace(/[-:T]|\.\d{3}/gu, "");
  const isShort = text < "2050";
  return toDer(
    isShort ? derTag.utcTime : derTag.generalizedTime,
    Buffer.from(isShort ? text.slice(2) : text, "latin1"),
  );
}

/** Web cryptography gives both numbers of the signature after one another; certificates want them as a SEQUENCE (RFC 5480). */
async function signWith({ privateKey }: Authority, content: Buffer): Promise<Buffer> {
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  const pair = Buffer.from(await webcrypto.subtle.sign(algorithm, privateKey, new Uint8Array(content)));
  const half = pair.length / 2;
  const numbers = [pair.subarray(0, half), pair.subarray(half)].map((part) => toDerInteger(part.toString("hex")));
  return toDer(derTag.sequence, ...numbers);
}
