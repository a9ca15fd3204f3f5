import { z } from "zod";
import { idSchema, timestampMsSchema } from "../ids.ts";

/** What a person or machine at the API may: see, act on the fleet, bring models, admit devices, or all of it. */
export const roleSchema = z.enum(["viewer", "operator", "publisher", "approver", "admin"]);

export const createApiTokenRequestSchema = z.strictObject({
  role: roleSchema,
  description: z.string().max(200).default(""),
  ttlMs: z
    .int()
    .min(1_000)
    .max(3_650 * 86_400_000)
    .default(90 * 86_400_000),
});
/** `token` is shown once; its form is that of the administrator's. */
export const createApiTokenResponseSchema = z.object({
  tokenId: idSchema,
  token: z.string(),
  role: roleSchema,
  expiresAtMs: timestampMsSchema,
});
export const apiTokenSchema = z.object({
  tokenId: idSchema,
  role: roleSchema,
  description: z.string(),
  createdAtMs: timestampMsSchema,
  expiresAtMs: timestampMsSchema.nullable(),
  revokedAtMs: timestampMsSchema.nullable(),
});

export type Role = z.infer<typeof roleSchema>;
export type ApiToken = z.infer<typeof apiTokenSchema>;
export type CreateApiTokenRequest = z.infer<typeof createApiTokenRequestSchema>;
export type CreateApiTokenResponse = z.infer<typeof createApiTokenResponseSchema>;
