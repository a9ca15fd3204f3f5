import { toUsageError } from "../errors.ts";

export interface ParsedToken {
  /** The whole text, as the server wants it. */
  readonly text: string;
  /** SHA-256 of the plane's CA certificate (DER), hexadecimal; null when the token carries none. */
  readonly fingerprint: string | null;
}

/** `fla_<secret>.<fingerprint>`, or a JWT of an issuer. The message never repeats the token. */
export function parseToken(text: string): ParsedToken {
  if (text.length <= 8_192 && /^[\w-]{2,}\.[\w-]{2,}\.[\w-]{2,}$/u.test(text)) return { text, fingerprint: null };
  const match = /^fla_[A-Za-z0-9_-]{16,128}(?:\.(?<fingerprint>[0-9a-f]{64}))?$/u.exec(text);
  if (match === null)
    throw toUsageError(
      "the token does not have the form of an administrator token",
      "it begins with fla_ and is printed once when the control plane starts for the first time; enrolment tokens (fle_) are for agents",
    );
  return { text, fingerprint: match.groups?.["fingerprint"] ?? null };
}
