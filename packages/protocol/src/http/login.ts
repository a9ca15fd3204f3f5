import { z } from "zod";

/** `GET /api/v1/oidc`: where people sign in, for clients of the device grant (RFC 8628). */
export const oidcSettingsSchema = z.object({
  issuer: z.string().max(512),
  clientId: z.string().max(256),
  scopes: z.array(z.string().max(256)).max(16),
  /** Which of the issuer's tokens is sent to the plane: the one whose audience is what the plane asks for. */
  tokenUse: z.enum(["id_token", "access_token"]),
});
export type OidcSettings = z.infer<typeof oidcSettingsSchema>;
