import * as z from "zod";
import { assuranceSchema } from "./endorsements.ts";
import { deviceIdSchema, idSchema, labelsSchema, profileNameSchema, tenantSchema, timestampMsSchema } from "../ids.ts";

export const createTokenRequestSchema = z.strictObject({
  description: z.string().max(200).default(""),
  /** Labels that every device enrolled with this token gets. */
  labels: labelsSchema.default({}),
  /** The only kind of board that may enrol with it; null: any. */
  profile: profileNameSchema.nullable().default(null),
  uses: z.int().min(1).max(100_000).default(1),
  ttlMs: z
    .int()
    .min(1_000)
    .max(365 * 86_400_000)
    .default(86_400_000),
  /** true: certificates are issued at once; false: an operator approves each device. */
  autoApprove: z.boolean().default(false),
});

/**
 * `token` is shown once. Its form is `fle_<32 bytes base64url>.<SHA-256 of the plane's CA certificate (DER), hex>`:
 * the second part lets an agent know the right plane before it trusts any certificate.
 */
export const createTokenResponseSchema = z.object({
  tokenId: idSchema,
  token: z.string(),
  expiresAtMs: timestampMsSchema,
});

/** What everybody may know of a token: not its secret. */
export const enrolmentTokenSchema = z.object({
  tokenId: idSchema,
  description: z.string(),
  labels: labelsSchema,
  profile: z.string().nullable(),
  usesLeft: z.int().min(0),
  autoApprove: z.boolean(),
  createdAtMs: timestampMsSchema,
  expiresAtMs: timestampMsSchema,
  /** The part of the fleet that whoever made it reaches; null: all of it. */
  selector: z.string().nullable(),
});
export type EnrolmentTokenFacts = z.infer<typeof enrolmentTokenSchema>;

export const enrolRequestSchema = z.strictObject({
  token: z.string().max(256),
  device: deviceIdSchema,
  /** PKCS#10, PEM, P-256. Its signature is the proof of possession. */
  csr: z.string().max(8_192),
  profile: profileNameSchema,
  labels: labelsSchema.default({}),
  /** TPM2B_PUBLIC (base64) of the key that signed the request, where it is in a TPM; null: it is in a file. */
  publicArea: z.base64().max(1_368).nullable().default(null),
});

/** The agent polls `POST /api/v1/enrolments/{id}/poll` with the same token until it is no longer pending. */
export const enrolResponseSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("pending"), enrolmentId: idSchema, pollAfterMs: z.int() }),
  z.object({ state: z.literal("denied"), enrolmentId: idSchema, reason: z.string() }),
  z.object({
    state: z.literal("approved"),
    enrolmentId: idSchema,
    tenant: tenantSchema,
    device: deviceIdSchema,
    assurance: assuranceSchema.default("software"),
    /** PEM, leaf first. */
    certificate: z.string(),
    ca: z.string(),
    /** Ed25519 public keys (PEM, SPKI) that may sign desired states and commands. */
    signingKeys: z.array(z.string()),
    /** The newest root document of The Update Framework, which says whose releases count; a device may pin another. */
    trustRoot: z.string().max(512_000).nullable(),
    mqttUrl: z.string(),
    apiUrl: z.string(),
  }),
]);

/** `POST /api/v1/device/certificate`, with the certificate in force: another one for the same device. */
export const renewRequestSchema = z.strictObject({
  /** As in `enrolRequestSchema`. */
  csr: z.string().max(8_192),
});
/** It comes into force with its first use, and the one before it ends then. */
export const renewResponseSchema = z.object({ certificate: z.string().max(16_384) });

/** `GET /api/v1/device/certificate`: the one that the caller is known by. */
export const deviceCertificateSchema = z.object({ serial: z.string(), notAfterMs: timestampMsSchema });

export const enrolmentSchema = z.object({
  enrolmentId: idSchema,
  device: deviceIdSchema,
  state: z.enum(["pending", "approved", "denied"]),
  profile: profileNameSchema,
  requestedAtMs: timestampMsSchema,
  fromAddress: z.string(),
  csrFingerprint: z.string(),
  assurance: assuranceSchema.default("software"),
});
/** `GET /api/v1/ca`: the only answer that an agent may read before it trusts the plane; it checks the fingerprint. */
export const caResponseSchema = z.object({ ca: z.string() });

export type CreateTokenRequest = z.infer<typeof createTokenRequestSchema>;
export type CreateTokenResponse = z.infer<typeof createTokenResponseSchema>;
export type EnrolRequest = z.infer<typeof enrolRequestSchema>;
export type EnrolResponse = z.infer<typeof enrolResponseSchema>;
export type Enrolment = z.infer<typeof enrolmentSchema>;
