import * as z from "zod";
import {
  deviceIdSchema,
  digestSchema,
  durationMsSchema,
  idSchema,
  profileNameSchema,
  slotNameSchema,
  tenantSchema,
  timestampMsSchema,
  versionSchema,
} from "../ids.ts";
import { artifactReferenceSchema, modelVersionSchema } from "./manifest.ts";

export const signatureSchema = z.strictObject({
  /** `sha256:` of the public key's DER (SubjectPublicKeyInfo). */
  keyId: z.string().regex(/^sha256:[0-9a-f]{64}$/u),
  /** Ed25519 over the canonical form (RFC 8785) of `signed`; base64. */
  sig: z.string().regex(/^[A-Za-z0-9+/]{86}==$/u),
});

const envelope = <Signed extends z.ZodType>(signed: Signed) =>
  z.strictObject({ signed, signatures: z.array(signatureSchema).min(1).max(16) });

/** For which devices a release is meant, beside what its builds run on. An absent list admits every value. */
export const audienceSchema = z.strictObject({
  /** Kinds of board, as the device itself is configured. */
  profiles: z.array(profileNameSchema).min(1).max(32).optional(),
  /** Fleets, as the device itself is configured: the plane cannot change that. */
  fleets: z.array(slotNameSchema).min(1).max(32).optional(),
  /** The oldest agent that may run it. */
  minAgentVersion: versionSchema.optional(),
  /**
   * The oldest version of what lies below the agent, by the names of the device's inventory (`os.kernel`,
   * `firmware.version`, `l4t.version`); a device that does not know its own refuses.
   */
  firmware: z
    .record(z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9.]{0,62}$/u), z.string().regex(/^\d{1,9}(?:\.\d{1,9}){0,4}$/u))
    .refine((map) => Object.keys(map).length <= 16, "more than 16 components")
    .optional(),
});

/**
 * A model version and its builds may be installed, from `issuedAtMs` or `notBeforeMs` to `expiresAtMs`. It names digest and length of every
 * file. Every document names its `type`, so none can pass as another.
 */
export const releaseSchema = z.strictObject({
  type: z.literal("release"),
  v: z.literal(1),
  tenant: tenantSchema,
  releaseId: idSchema,
  issuedAtMs: timestampMsSchema,
  expiresAtMs: timestampMsSchema,
  /** Not to be taken before this time, for a release that is signed ahead of its day. Absent: from `issuedAtMs`. */
  notBeforeMs: timestampMsSchema.optional(),
  audience: audienceSchema.optional(),
  content: modelVersionSchema,
});
/**
 * A release on its way. It carries no signature of its own: a publisher signed its digest and length as a target of The
 * Update Framework, and a device asks for that before it believes the document.
 */
export const signedReleaseSchema = z.strictObject({ signed: releaseSchema });

/** How far two values of a model without classes may lie apart: |a − b| ≤ absolute + relative × |a|. */
export const shadowToleranceSchema = z.strictObject({
  absolute: z.number().min(0).max(1e9).default(1e-3),
  relative: z.number().min(0).max(1).default(1e-2),
});

/** How a candidate runs beside the build that serves. */
export const shadowTermsSchema = z.strictObject({
  /** Share of the requests that the candidate answers too, for comparison alone. */
  share: z.number().gt(0).max(1).default(0.1),
  tolerance: shadowToleranceSchema.prefault({}),
});

export const desiredSlotSchema = z.strictObject({
  slot: slotNameSchema,
  /** null: the slot is to be emptied. */
  release: signedReleaseSchema.nullable(),
  rolloutId: idSchema.nullable(),
  /** Grows with every offer of the same release, so that a failed device can be asked to try again. */
  attempt: z.int().min(1).max(1_000_000),
  /** How long the device itself watches a new build before it confirms it. */
  soakMs: durationMsSchema,
  /**
   * A release that runs beside `release` without answering anybody. It is then what `rolloutId` and `attempt` speak of,
   * and a device that does not run `release` refuses it.
   */
  shadow: shadowTermsSchema.extend({ release: signedReleaseSchema }).nullable().optional(),
});

/**
 * The enrolment that an order is for: `sha256:` of the DER (SubjectPublicKeyInfo) of the key that the device enrolled with.
 * It outlives renewed certificates and the keys of a TPM's sessions. A name that is given again is given to another key, so
 * that an order to whoever had it before says nothing to the device that has it now.
 */
const enrolledKeySchema = digestSchema;

/** What one device should run. */
export const desiredStateSchema = z.strictObject({
  type: z.literal("desired-state"),
  v: z.literal(1),
  tenant: tenantSchema,
  device: deviceIdSchema,
  enrolledKey: enrolledKeySchema,
  generation: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  issuedAtMs: timestampMsSchema,
  expiresAtMs: timestampMsSchema,
  slots: z.array(desiredSlotSchema).max(64),
  /** Where artifacts may be fetched, in order of preference; trust is in the digest. `{digest}` is replaced. */
  artifactUrls: z
    .array(
      z
        .string()
        .max(2_048)
        .regex(/^https:\/\/[^\s]+\{digest\}[^\s]*$/u),
    )
    .min(1)
    .max(8),
});
export const signedDesiredStateSchema = envelope(desiredStateSchema);

export const commandActionSchema = z.discriminatedUnion("kind", [
  /** Stop serving the slot at once; requests are answered 503 with the reason. */
  z.strictObject({ kind: z.literal("stop-serving"), slot: slotNameSchema, reason: z.string().max(256) }),
  /** Fetch the artifact again, verify it, put it in place, re-measure and serve again. */
  z.strictObject({ kind: z.literal("repair-artifact"), slot: slotNameSchema, artifact: artifactReferenceSchema }),
  /** Measure every file now and report the evidence. */
  z.strictObject({ kind: z.literal("measure") }),
  /** Leave this build for the previous one. Where another build is active already, there is nothing to do. */
  z.strictObject({
    kind: z.literal("revert"),
    slot: slotNameSchema,
    buildDigest: digestSchema,
    reason: z.string().max(256),
  }),
  /** Kill and start the serving process. */
  z.strictObject({ kind: z.literal("restart-serving"), reason: z.string().max(256) }),
  /** Remove everything that this plane brought to the device, say so, and then remove the device's keys. Never undone. */
  z.strictObject({ kind: z.literal("decommission"), reason: z.string().max(256) }),
]);

/** A one-off instruction to one device. */
export const commandSchema = z.strictObject({
  type: z.literal("command"),
  v: z.literal(1),
  tenant: tenantSchema,
  device: deviceIdSchema,
  enrolledKey: enrolledKeySchema,
  commandId: idSchema,
  /** Grows with every command to this name, so that a device knows an old one when it has long forgotten its id. */
  generation: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  issuedAtMs: timestampMsSchema,
  deadlineAtMs: timestampMsSchema,
  action: commandActionSchema,
});
export const signedCommandSchema = envelope(commandSchema);

export type Signature = z.infer<typeof signatureSchema>;
export type Audience = z.infer<typeof audienceSchema>;
export type Release = z.infer<typeof releaseSchema>;
export type SignedRelease = z.infer<typeof signedReleaseSchema>;
export type ShadowTerms = z.infer<typeof shadowTermsSchema>;
export type DesiredSlot = z.infer<typeof desiredSlotSchema>;
export type DesiredState = z.infer<typeof desiredStateSchema>;
export type SignedDesiredState = z.infer<typeof signedDesiredStateSchema>;
export type CommandAction = z.infer<typeof commandActionSchema>;
export type Command = z.infer<typeof commandSchema>;
export type SignedCommand = z.infer<typeof signedCommandSchema>;
/** Anything that can be signed: a document with a `type`. */
export type SignedDocument<Document extends { readonly type: string } = { readonly type: string }> = {
  readonly signed: Document;
  readonly signatures: readonly Signature[];
};
