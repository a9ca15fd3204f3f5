import { CodedError } from "@fairlead/kernel";
import { X509Certificate, type KeyObject } from "node:crypto";
import type { TpmErrorCode } from "./byte-reader.ts";

/** tcg-kp-EKCertificate (TCG EK Credential Profile 2.x, clause 3.2.16). */
const endorsementPurpose = "2.23.133.8.1";
const maxDepth = 6;

const isInTime = (certificate: X509Certificate, nowMs: number): boolean =>
  certificate.validFromDate.getTime() <= nowMs && nowMs <= certificate.validToDate.getTime();

function refuse(message: string): never {
  throw new CodedError<TpmErrorCode>("attestation_refused", message, {
    hint: "allow this endorsement key by its fingerprint, or add its maker's certificates to --ek-ca",
  });
}

function hasAnchor(certificate: X509Certificate, makers: readonly X509Certificate[], nowMs: number): boolean {
  let current = certificate;
  for (let depth = 0; depth < maxDepth; depth += 1) {
    const issuer = makers.find((maker) => maker.ca && current.checkIssued(maker) && current.verify(maker.publicKey));
    if (issuer === undefined || !isInTime(issuer, nowMs)) return false;
    // What the operator configured is trusted down to a root that signed itself, so a lone intermediate admits nobody.
    if (issuer.checkIssued(issuer)) return true;
    current = issuer;
  }
  return false;
}

export interface EndorsementClaim {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly endorsement: KeyObject;
}

/**
 * Was this endorsement key certified by a maker that the operator trusts? Revocation lists of makers are not asked.
 * @throws CodedError `attestation_refused`
 */
export function checkEndorsementCertificate(
  { certificate: der, endorsement }: EndorsementClaim,
  makers: readonly X509Certificate[],
  nowMs: number,
): void {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(der);
  } catch {
    return refuse("the endorsement certificate cannot be read");
  }
  if (!certificate.publicKey.equals(endorsement)) refuse("the endorsement certificate is of another key");
  if (certificate.ca || !(certificate.keyUsage ?? []).includes(endorsementPurpose))
    refuse("the certificate was not issued for an endorsement key");
  if (!isInTime(certificate, nowMs)) refuse("the endorsement certificate is not valid now");
  if (!hasAnchor(certificate, makers, nowMs))
    refuse("the endorsement certificate is not of a maker that is trusted here");
}
