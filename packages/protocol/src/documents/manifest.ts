import * as z from "zod";
import { digestSchema, modelNameSchema, profileNameSchema, versionSchema } from "../ids.ts";
import { limits } from "../limits.ts";
import { choicePolicySchema } from "./choice-policy.ts";

export const tensorInfoSchema = z.strictObject({
  name: z.string().min(1).max(256),
  elementType: z.string().min(1).max(32),
  /** Fixed sizes as numbers, symbolic dimensions as their name. */
  shape: z.array(z.union([z.int().min(0), z.string().max(128)])).max(32),
});

export const executionProviderSchema = z.enum([
  "cpu",
  "webgpu",
  "cuda",
  "tensorrt",
  "coreml",
  "dml",
  "qnn",
  "openvino",
  "vitisai",
  "rknpu",
]);
export const precisionSchema = z.enum(["fp32", "fp16", "bf16", "int8", "int4", "mixed"]);
export const quantizationSchema = z.enum(["none", "qdq", "qlinear", "dynamic", "weight-only-4bit"]);

/** For which devices a build is meant. An absent list admits every value. */
export const buildTargetSchema = z.strictObject({
  arch: z
    .array(z.enum(["x64", "arm64"]))
    .min(1)
    .max(2)
    .optional(),
  profiles: z.array(profileNameSchema).min(1).max(32).optional(),
  executionProviders: z.array(executionProviderSchema).min(1).max(8).default(["cpu"]),
});

export const artifactReferenceSchema = z.strictObject({
  digest: digestSchema,
  sizeBytes: z.int().min(1).max(limits.artifactBytes),
});

/** One artifact of a model version for one kind of target. */
export const buildSchema = z.strictObject({
  artifact: artifactReferenceSchema,
  format: z.enum(["onnx"]),
  precision: precisionSchema,
  quantization: quantizationSchema,
  target: buildTargetSchema,
  inputs: z.array(tensorInfoSchema).min(1).max(64),
  outputs: z.array(tensorInfoSchema).min(1).max(64),
});

/** Which output holds class probabilities `[batch, labels]`, so that confidence and class counts can be measured. */
export const classificationSchema = z.strictObject({
  output: z.string().min(1).max(256),
  labels: z.array(z.string().min(1).max(128)).min(2).max(10_000),
});

/** What a device must prove before it activates a build. */
export const selfTestSchema = z.strictObject({
  golden: artifactReferenceSchema.nullable(),
  latencyP95Ms: z.number().positive().max(600_000).nullable(),
  repeats: z.int().min(1).max(1_000).default(20),
});

/** One version of a model, as a release states it: what runs where and how it proves itself. */
export const modelVersionSchema = z.strictObject({
  model: modelNameSchema,
  version: versionSchema,
  description: z.string().max(2_000).default(""),
  classification: classificationSchema.nullable().default(null),
  builds: z.array(buildSchema).min(1).max(32),
  selfTest: selfTestSchema,
  /** How a device chooses among several builds that it can run; absent: the fastest. */
  choice: choicePolicySchema.optional(),
});

export type TensorInfo = z.infer<typeof tensorInfoSchema>;
export type ExecutionProvider = z.infer<typeof executionProviderSchema>;
export type BuildTarget = z.infer<typeof buildTargetSchema>;
export type ArtifactReference = z.infer<typeof artifactReferenceSchema>;
export type Build = z.infer<typeof buildSchema>;
export type Classification = z.infer<typeof classificationSchema>;
export type ModelVersion = z.infer<typeof modelVersionSchema>;
