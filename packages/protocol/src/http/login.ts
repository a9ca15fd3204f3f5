import * as z from "zod";
import { timestampMsSchema } from "../ids.ts";
import { roleSchema } from "./tokens.ts";

/** `GET /api/v1/oidc`: where people sign in, for clients of the device grant (RFC 8628). */
export const oidcSettingsSchema = z.object({
  issuer: z.string().max(512),
  clientId: z.string().max(256),
  scopes: z.array(z.string().max(256)).max(16),
  /** Which of the issuer's tokens is sent to the plane: the one whose audience is what the plane asks for. */
  tokenUse: z.enum(["id_token", "access_token"]),
});
export type OidcSettings = z.infer<typeof oidcSettingsSchema>;

/** `GET` and `POST /api/v1/session`: who calls, and what a browser needs to go on. */
export const sessionSchema = z.object({
  actor: z.string(),
  role: roleSchema,
  /** The part of the fleet that is reached; null: all of it. */
  selector: z.string().nullable(),
  /** When the session ends; null for a caller that has none. */
  expiresAtMs: timestampMsSchema.nullable(),
  /** To be sent as `x-csrf-token` with every request that changes something; null for a caller without a session. */
  csrfToken: z.string().nullable(),
});
export type Session = z.infer<typeof sessionSchema>;
