import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** `fla_…` administers, `fle_…` enrols. The second part names the plane by its authority. */
export function createToken(prefix: "fla" | "fle", authorityFingerprint: string): string {
  return `${prefix}_${randomBytes(32).toString("base64url")}.${authorityFingerprint}`;
}

/** What is kept of a token. It has 256 bits of chance, so a plain hash cannot be searched. */
export function toTokenHash(token: string): string {
  return createHash("sha256").update(token, "utf8").digest("hex");
}

/** In a time that does not depend on where two hashes differ. */
export function isSameHash(left: string, right: string): boolean {
  const [first, second] = [Buffer.from(left, "utf8"), Buffer.from(right, "utf8")];
  return first.byteLength === second.byteLength && timingSafeEqual(first, second);
}

export function isTokenShaped(token: string): boolean {
  return /^fl[ae]_[A-Za-z0-9_-]{43}\.[0-9a-f]{64}$/u.test(token);
}
