import { CodedError } from "@fairlead/kernel";
import { createHash, timingSafeEqual, X509Certificate } from "node:crypto";

const form = /^fle_[A-Za-z0-9_-]{43}\.([0-9a-f]{64})$/u;

/** SHA-256 of the plane's CA certificate (DER), hexadecimal: the token's second part. @throws CodedError `token_malformed` */
export function toCaFingerprint(token: string): string {
  const fingerprint = form.exec(token)?.[1];
  if (fingerprint !== undefined) return fingerprint;
  throw new CodedError("token_malformed", "the token is not of the form fle_<secret>.<fingerprint>", {
    hint: "copy the whole token that `fairlead enrolments create-token` printed",
  });
}

/** @throws CodedError `usage` */
export function parseCaFingerprint(text: string): string {
  const hex = text.toLowerCase();
  if (/^[0-9a-f]{64}$/u.test(hex)) return hex;
  throw new CodedError("usage", "--ca-fingerprint is not a SHA-256 in hexadecimal", {
    hint: "copy it from what `fairlead enrolments allow-ek` printed",
  });
}

/** @throws CodedError `ca_mismatch`: what answers is not the plane that issued the token */
export function requireCa(caPem: string, fingerprint: string): void {
  let found: Buffer;
  try {
    found = createHash("sha256").update(new X509Certificate(caPem).raw).digest();
  } catch (error) {
    throw new CodedError("ca_mismatch", "the server's certificate authority cannot be read", { cause: error });
  }
  if (timingSafeEqual(found, Buffer.from(fingerprint, "hex"))) return;
  throw new CodedError("ca_mismatch", "the server is not the control plane that is meant", {
    hint: "check --server; if it is right, somebody may be between this device and the plane",
  });
}
