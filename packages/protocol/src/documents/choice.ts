import * as z from "zod";
import { digestSchema, idSchema, timestampMsSchema } from "../ids.ts";
import { precisionSchema, quantizationSchema } from "./manifest.ts";
import { choicePolicySchema } from "./choice-policy.ts";
import { energyMethodSchema, readingSchema } from "../mqtt/telemetry.ts";

/** What became of one build of the release on this device. `not-measured` says why it was never tried. */
export const candidateVerdictSchema = z.enum(["chosen", "lost", "excluded", "failed", "not-measured", "waiting"]);

/** One build with what was measured of it on this device. What is unknown is null, with its reason where there is one. */
export const choiceCandidateSchema = z.strictObject({
  buildDigest: digestSchema,
  precision: precisionSchema,
  quantization: quantizationSchema,
  sizeBytes: z.int().min(1),
  /** From asking to the answer inside the serving process, without HTTP. */
  latencyUs: z.strictObject({ p50: z.number().min(0), p99: z.number().min(0) }).nullable(),
  joulesPerInference: readingSchema,
  energyMethod: energyMethodSchema.nullable(),
  /** Share of golden cases within their tolerance. */
  accuracyRatio: z.number().min(0).max(1).nullable(),
  /** Share of golden rows whose top class is the golden one. */
  agreementRatio: z.number().min(0).max(1).nullable(),
  runs: z.int().min(0),
  verdict: candidateVerdictSchema,
  reason: z.string().max(240),
});

/** How a slot's build was chosen: the policy in force and every candidate, the losing ones too. */
export const slotChoiceSchema = z.strictObject({
  releaseId: idSchema,
  state: z.enum(["measuring", "decided"]),
  policy: choicePolicySchema,
  /** Who set the policy: the release, this device's configuration, or nobody. */
  policyFrom: z.enum(["release", "device", "default"]),
  chosen: digestSchema.nullable(),
  /** Hardware, driver and runtime that the numbers belong to. */
  fingerprint: digestSchema,
  measuredAtMs: timestampMsSchema.nullable(),
  /** True when no build was run for this decision, because the numbers were known. */
  cached: z.boolean(),
  candidates: z.array(choiceCandidateSchema).max(8),
});

export type CandidateVerdict = z.infer<typeof candidateVerdictSchema>;
export type ChoiceCandidate = z.infer<typeof choiceCandidateSchema>;
export type SlotChoice = z.infer<typeof slotChoiceSchema>;
