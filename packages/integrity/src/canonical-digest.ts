import { createHash } from "node:crypto";
import canonicalize from "canonicalize";
import { CodedError } from "@fairlead/kernel";
import type { Digest } from "@fairlead/protocol";

export type IntegrityErrorCode = "not_canonical";

/** The `previous` of a chain's first link. */
export const zeroDigest: Digest = `sha256:${"0".repeat(64)}`;

/**
 * Canonical JSON text (RFC 8785) of plain data.
 * @throws CodedError `not_canonical` for NaN, infinities, lone surrogates, cycles and values that JSON does not know.
 */
export function toCanonicalText(value: unknown): string {
  try {
    const text = canonicalize(value);
    if (text !== undefined) return text;
  } catch (cause) {
    throw new CodedError<IntegrityErrorCode>("not_canonical", "the value has no canonical JSON form", {
      cause,
      hint: "pass finite numbers, well-formed strings, and plain objects and lists only",
    });
  }
  throw new CodedError<IntegrityErrorCode>("not_canonical", "undefined has no canonical JSON form", {
    hint: "pass null where there is no value",
  });
}

/** SHA-256 of the canonical JSON text. */
export function toCanonicalDigest(value: unknown): Digest {
  return `sha256:${createHash("sha256").update(toCanonicalText(value), "utf8").digest("hex")}`;
}
