import * as z from "zod";
import {
  buildTargetSchema,
  classificationSchema,
  modelVersionSchema,
  precisionSchema,
  quantizationSchema,
  tensorInfoSchema,
} from "../documents/manifest.ts";
import { choicePolicySchema } from "../documents/choice-policy.ts";
import { signedReleaseSchema } from "../documents/signed.ts";
import { digestSchema, modelNameSchema, timestampMsSchema, versionSchema } from "../ids.ts";

/** What the registry read from the file itself. */
export const inspectionSchema = z.object({
  irVersion: z.int(),
  producerName: z.string(),
  opsets: z.array(z.object({ domain: z.string(), version: z.int() })),
  inputs: z.array(tensorInfoSchema),
  outputs: z.array(tensorInfoSchema),
  parameterCount: z.number(),
  weightBytes: z.number(),
  nodeCount: z.int(),
  operators: z.record(z.string(), z.int()),
  precision: precisionSchema,
  quantization: quantizationSchema,
});

/** `PUT /api/v1/artifacts/{digest}?kind=onnx|golden` streams the bytes; the answer. */
export const artifactSchema = z.object({
  digest: digestSchema,
  sizeBytes: z.int(),
  kind: z.enum(["onnx", "golden"]),
  /** false when the same bytes were stored before. */
  created: z.boolean(),
  inspection: inspectionSchema.nullable(),
});

/** `POST /api/v1/models/{model}/versions`: builds by digest; inputs, outputs and precision come from the inspection. */
export const registerVersionRequestSchema = z.strictObject({
  version: versionSchema,
  description: z.string().max(2_000).default(""),
  classification: classificationSchema.nullable().default(null),
  builds: z
    .array(z.strictObject({ digest: digestSchema, target: buildTargetSchema }))
    .min(1)
    .max(32),
  selfTest: z
    .strictObject({
      goldenDigest: digestSchema.nullable().default(null),
      latencyP95Ms: z.number().positive().max(600_000).nullable().default(null),
      repeats: z.int().min(1).max(1_000).default(20),
    })
    .prefault({}),
  choice: choicePolicySchema.optional(),
});

export const modelSummarySchema = z.object({
  model: modelNameSchema,
  versions: z.array(
    z.object({ version: versionSchema, builds: z.int(), released: z.boolean(), createdAtMs: timestampMsSchema }),
  ),
});
export const modelVersionDetailSchema = z.object({
  content: modelVersionSchema,
  inspections: z.record(digestSchema, inspectionSchema),
  createdAtMs: timestampMsSchema,
  release: signedReleaseSchema.nullable(),
});

export type Inspection = z.infer<typeof inspectionSchema>;
export type Artifact = z.infer<typeof artifactSchema>;
export type RegisterVersionRequest = z.infer<typeof registerVersionRequestSchema>;
export type ModelSummary = z.infer<typeof modelSummarySchema>;
export type ModelVersionDetail = z.infer<typeof modelVersionDetailSchema>;
