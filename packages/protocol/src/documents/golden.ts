import * as z from "zod";

export const goldenTensorSchema = z.strictObject({
  datatype: z.enum(["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "FP32", "FP64"]),
  shape: z.array(z.int().min(0).max(1_000_000)).max(8),
  data: z.array(z.number()).max(1_000_000),
});

/** One golden case: known inputs, the outputs they must give, and how far off an output value may be. */
export const goldenCaseSchema = z.strictObject({
  name: z.string().min(1).max(128),
  inputs: z.record(z.string().min(1).max(256), goldenTensorSchema),
  outputs: z.record(z.string().min(1).max(256), goldenTensorSchema),
  toleranceAbs: z.number().min(0).max(1e9),
  toleranceRel: z.number().min(0).max(1),
});

/** The golden set travels as an artifact of its own (JSON, digest in the release). */
export const goldenSetSchema = z.strictObject({
  v: z.literal(1),
  cases: z.array(goldenCaseSchema).min(1).max(256),
});

export type GoldenTensor = z.infer<typeof goldenTensorSchema>;
export type GoldenCase = z.infer<typeof goldenCaseSchema>;
export type GoldenSet = z.infer<typeof goldenSetSchema>;
