import * as z from "zod";
import { CliError } from "../errors.ts";

/** RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3. */
const tokensSchema = z.object({
  access_token: z.string().min(1).max(16_384).optional(),
  id_token: z.string().min(1).max(16_384).optional(),
  refresh_token: z.string().min(1).max(16_384).optional(),
  expires_in: z.number().positive().max(31_536_000).optional(),
});
export interface Tokens {
  readonly accessToken: string | undefined;
  readonly idToken: string | undefined;
  readonly refreshToken: string | undefined;
  /** When the access token ends; null when the issuer did not say. */
  readonly accessEndsAtMs: number | null;
}

/** @throws CliError `login_refused` */
export function parseTokens(body: unknown, nowMs: number): Tokens {
  const parsed = tokensSchema.safeParse(body);
  if (!parsed.success) throw new CliError("login_refused", "the issuer's answer is not one of a token endpoint");
  const { access_token, id_token, refresh_token, expires_in } = parsed.data;
  return {
    ...{ accessToken: access_token, idToken: id_token, refreshToken: refresh_token },
    accessEndsAtMs: expires_in === undefined ? null : nowMs + expires_in * 1_000,
  };
}

const claimsSchema = z.object({ exp: z.number().positive() });

/** When a JWT says that it ends; null for anything else. Only for deciding when to ask for another: the plane verifies. */
function readEndMs(token: string): number | null {
  try {
    const [, payload = ""] = token.split(".");
    return claimsSchema.parse(JSON.parse(Buffer.from(payload, "base64url").toString("utf8"))).exp * 1_000;
  } catch {
    return null;
  }
}

export interface SentToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/** The one of the tokens that the plane wants. @throws CliError `login_refused` */
export function toSentToken(tokens: Tokens, use: "id_token" | "access_token", nowMs: number): SentToken {
  const token = use === "id_token" ? tokens.idToken : tokens.accessToken;
  if (token === undefined)
    throw new CliError("login_refused", `the issuer gave no ${use}, which is what the control plane wants`, {
      hint: 'does the plane ask for the scope "openid"?',
    });
  return { token, expiresAtMs: readEndMs(token) ?? tokens.accessEndsAtMs ?? nowMs + 60_000 };
}
