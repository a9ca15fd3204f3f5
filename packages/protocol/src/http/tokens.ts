import * as z from "zod";
import { idSchema, timestampMsSchema } from "../ids.ts";
import { selectorSchema } from "../selector.ts";

/** What a person or machine at the API may: see, act on the fleet, bring models, admit devices, or all of it. */
export const roleSchema = z.enum(["viewer", "operator", "publisher", "approver", "admin"]);

/** The part of the fleet that a token reaches: null is all of it, and an empty selector, which would be too, is refused. */
const scopeSelectorSchema = selectorSchema.refine((text) => text.trim() !== "", "name a part of the fleet").nullable();

/** Who has a token: a name, or `oidc:<issuer>#<subject>` for somebody whom the issuer knows. Shown as it is, so no blanks. */
export const personSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,512}$/u, "a name of visible ASCII characters without blanks");

export const createApiTokenRequestSchema = z
  .strictObject({
    role: roleSchema,
    selector: scopeSelectorSchema.default(null),
    /** Left out: whoever makes it has it too, so it is no second person's. */
    person: personSchema.optional(),
    description: z.string().max(200).default(""),
    ttlMs: z
      .int()
      .min(1_000)
      .max(3_650 * 86_400_000)
      .default(90 * 86_400_000),
  })
  .refine(({ role, selector }) => selector === null || role !== "publisher", {
    path: ["selector"],
    message: "models are for the whole fleet: a publisher's token has no selector",
  });
/** `token` is shown once; its form is that of the administrator's. */
export const createApiTokenResponseSchema = z.object({
  tokenId: idSchema,
  token: z.string(),
  role: roleSchema,
  selector: z.string().nullable(),
  person: z.string(),
  expiresAtMs: timestampMsSchema,
});
export const apiTokenSchema = z.object({
  tokenId: idSchema,
  role: roleSchema,
  selector: z.string().nullable(),
  person: z.string(),
  description: z.string(),
  createdAtMs: timestampMsSchema,
  expiresAtMs: timestampMsSchema.nullable(),
  revokedAtMs: timestampMsSchema.nullable(),
});

export type Role = z.infer<typeof roleSchema>;
export type ApiToken = z.infer<typeof apiTokenSchema>;
export type CreateApiTokenRequest = z.input<typeof createApiTokenRequestSchema>;
export type CreateApiTokenResponse = z.infer<typeof createApiTokenResponseSchema>;
