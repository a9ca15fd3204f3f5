// The certificate library registers its parts through it, so it must come first.
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { algorithm, backdateMs, type Authority } from "./certificates.ts";

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

/** Certificate revocation list in PEM (RFC 5280, section 5): v2, with the authority's key identifier and a number that grows. */
export async function createRevocationList(
  authority: Authority,
  { revoked, nowMs }: { readonly revoked: readonly Revoked[]; readonly nowMs: number },
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: authority.certificate.subject,
    // As certificates do, it begins in the past: the broker's clock may be slow.
    thisUpdate: new Date(nowMs - backdateMs),
    nextUpdate: new Date(nowMs + listLifeMs),
    signingAlgorithm: algorithm,
    signingKey: authority.privateKey,
    entries: revoked.map(({ serial, endedAtMs }) => ({
      serialNumber: serial,
      revocationDate: new Date(endedAtMs),
    })),
    extensions: [await x509.AuthorityKeyIdentifierExtension.create(authority.certificate), toNumber(nowMs)],
  });
  // The library's own label, CRL, is read by nobody: RFC 7468, section 6.
  return x509.PemConverter.encode(list.rawData, "X509 CRL");
}

/** CRL number (section 5.2.3): a DER INTEGER in its shortest form, with a zero byte before a set sign bit (X.690, section 8.3.2). */
function toNumber(nowMs: number): x509.Extension {
  const hex = BigInt(Math.floor(nowMs)).toString(16);
  const digits = hex.length % 2 === 0 ? hex : `0${hex}`;
  const content = Buffer.from(/^[89a-f]/u.test(digits) ? `00${digits}` : digits, "hex");
  return new x509.Extension("2.5.29.20", false, new Uint8Array([0x02, content.length, ...content]));
}
