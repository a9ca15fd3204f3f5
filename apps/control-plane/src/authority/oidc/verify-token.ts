import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import type { OidcConfig } from "./config.ts";
import { toGrant, type Grant } from "./grant.ts";

/** Longer ones are refused before anything is parsed, so that a token costs what a token costs. */
export const maxTokenCharacters = 8_192;
/** Signatures with a private key alone: with a shared secret the public key would be one, and `none` is none. */
const algorithms = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

export interface Person extends Grant {
  readonly issuer: string;
  readonly subject: string;
  readonly expiresAtMs: number;
}
export type VerifyToken = (token: string) => Promise<Person>;

export interface VerifyTokenOptions {
  readonly config: OidcConfig;
  readonly findKey: JWTVerifyGetKey;
  readonly clock: Pick<Clock, "nowMs">;
}

function refuse(why: string, cause?: unknown): never {
  throw new CodedError<HttpErrorCode>("unauthenticated", `the token is not valid here: ${why}`, {
    hint: "sign in again: fairlead login",
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Three parts of base64url; whether it is a good one is judged elsewhere. */
export function isJwtShaped(token: string): boolean {
  return token.length <= maxTokenCharacters && /^[\w-]{2,}\.[\w-]{2,}\.[\w-]*$/u.test(token);
}

function requireAlgorithm(token: string): void {
  let alg: unknown;
  try {
    ({ alg } = decodeProtectedHeader(token));
  } catch (error) {
    return refuse("its header cannot be read", error);
  }
  if (typeof alg !== "string" || !algorithms.includes(alg))
    refuse("its algorithm is not one of those that are admitted");
}

/** jose's own words name claims, never values. */
function toReason(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `the claim ${error.claim} is not as it must be`;
  if (error instanceof errors.JWKSNoMatchingKey) return "none of the issuer's keys signed it";
  return "its signature or form is wrong";
}

async function verifySignature(token: string, options: VerifyTokenOptions): Promise<JWTPayload> {
  const { config, findKey, clock } = options;
  try {
    const { payload } = await jwtVerify(token, findKey, {
      ...{ issuer: config.issuer, audience: config.audience, algorithms },
      ...{ clockTolerance: config.clockToleranceS, currentDate: new Date(clock.nowMs()) },
      requiredClaims: ["sub", "exp", "iat"],
    });
    return payload;
  } catch (error) {
    if (error instanceof CodedError) throw error;
    return refuse(toReason(error), error);
  }
}

/**
 * Size and form → algorithm → signature by a key of the issuer → issuer, audience, times → who it is → what the claims give.
 * @throws CodedError `unauthenticated` · `forbidden` (known, and without a role here) · `unavailable` (cannot be checked now)
 */
export function createVerifyToken(options: VerifyTokenOptions): VerifyToken {
  return async (token) => {
    if (!isJwtShaped(token)) return refuse("it has not the form of one");
    requireAlgorithm(token);
    const { sub, exp = 0, ...claims } = await verifySignature(token, options);
    const { issuer } = options.config;
    if (sub === undefined || !/^[\x21-\x7e]{1,255}$/u.test(sub)) return refuse("it does not say of whom it is");
    const grant = toGrant(options.config, { ...claims, sub });
    if (grant !== null) return { ...grant, issuer, subject: sub, expiresAtMs: exp * 1_000 };
    throw new CodedError<HttpErrorCode>("forbidden", "you are known, but have no role here", {
      hint: "ask whoever runs the plane: your account needs one of the values that its configuration maps to a role",
      details: { actor: `oidc:${issuer}#${sub}` },
    });
  };
}
