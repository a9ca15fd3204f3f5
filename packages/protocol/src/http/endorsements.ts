import * as z from "zod";
import { deviceIdSchema, idSchema, labelsSchema, profileNameSchema, timestampMsSchema } from "../ids.ts";

/**
 * Where a device's private key lives, as far as the plane knows: `software` a file; `tpm` a TPM says the device, and the key's
 * public area agrees; `tpm-endorsed` the TPM with an endorsement key that is allowed here proved that the key is in it.
 */
export const assuranceSchema = z.enum(["software", "tpm", "tpm-endorsed"]);

/** SHA-256 of an endorsement key's SubjectPublicKeyInfo (DER), hexadecimal. */
export const endorsementFingerprintSchema = z.string().regex(/^[0-9a-f]{64}$/u, "64 lower-case hexadecimal digits");

const bytes = (maxBytes: number) => z.base64().max(Math.ceil(maxBytes / 3) * 4);

/** `POST /api/v1/enrolments/endorsements`: the TPM with this endorsement key may enrol, without a token. */
export const allowEndorsementRequestSchema = z.strictObject({
  fingerprint: endorsementFingerprintSchema,
  description: z.string().max(200).default(""),
  /** Labels that the device gets. */
  labels: labelsSchema.default({}),
  /** Board profile that the device gets; null leaves it to the device. */
  profile: profileNameSchema.nullable().default(null),
  /** The only name under which it may enrol; null: the first that it enrols under becomes it. */
  device: deviceIdSchema.nullable().default(null),
  autoApprove: z.boolean().default(false),
});

export const endorsementSchema = allowEndorsementRequestSchema.extend({
  /** `certificate`: nobody named this key; its maker's certificate admitted it. */
  source: z.enum(["operator", "certificate"]),
  createdAtMs: timestampMsSchema,
  createdBy: z.string(),
});

/** `POST /api/v1/enrol/endorsed`: first half of an enrolment by endorsement key. */
export const endorsedEnrolRequestSchema = z.strictObject({
  device: deviceIdSchema,
  /** PKCS#10, PEM, P-256, signed by the key in the TPM. */
  csr: z.string().max(8_192),
  profile: profileNameSchema,
  labels: labelsSchema.default({}),
  /** TPM2B_PUBLIC of the endorsement key. */
  endorsementKey: bytes(1_026),
  /** The endorsement key's certificate (DER), where the TPM has one. */
  endorsementCertificate: bytes(4_096).nullable().default(null),
  /** TPM2B_PUBLIC of the key that signed the request. */
  publicArea: bytes(1_026),
});

/** What only the TPM with that endorsement key can open, with that key loaded (TPM2_ActivateCredential); once, soon. */
export const credentialChallengeSchema = z.object({
  challengeId: idSchema,
  /** TPM2B_ID_OBJECT. */
  credentialBlob: bytes(512),
  /** TPM2B_ENCRYPTED_SECRET. */
  encryptedSecret: bytes(1_024),
});

/** `POST /api/v1/enrol/endorsed/{challenge}`: what came out. While an operator decides, it is the token to poll with. */
export const activateRequestSchema = z.strictObject({ secret: bytes(64) });

/** `POST /api/v1/device/session/challenge`. */
export const sessionChallengeRequestSchema = z.strictObject({ device: deviceIdSchema });
export const sessionChallengeSchema = z.object({ challenge: idSchema });

/**
 * `POST /api/v1/device/session`: a short certificate for a key that lives in memory only, vouched for by the key in the TPM.
 * Both signatures are ECDSA with SHA-256 (DER) over `toSessionStatement`.
 */
export const sessionRequestSchema = z.strictObject({
  device: deviceIdSchema,
  challenge: idSchema,
  /** SubjectPublicKeyInfo (DER) of the session's key, P-256. */
  publicKey: bytes(128),
  /** By the key in the TPM. */
  identitySignature: bytes(128),
  /** By the session's own key: proof of possession. */
  keySignature: bytes(128),
});

export type SessionRequest = z.infer<typeof sessionRequestSchema>;

/** What both keys sign. Fields have no line breaks, so no two requests have one text. */
export function toSessionStatement(
  tenant: string,
  { device, challenge, publicKey }: Pick<SessionRequest, "device" | "challenge" | "publicKey">,
): string {
  return ["fairlead session certificate v1", tenant, device, challenge, publicKey].join("\n");
}

export type Assurance = z.infer<typeof assuranceSchema>;
export type AllowEndorsementRequest = z.infer<typeof allowEndorsementRequestSchema>;
export type Endorsement = z.infer<typeof endorsementSchema>;
export type EndorsedEnrolRequest = z.infer<typeof endorsedEnrolRequestSchema>;
export type CredentialChallenge = z.infer<typeof credentialChallengeSchema>;
