import * as z from "zod";
import { slotChoiceSchema } from "../documents/choice.ts";
import { digestSchema, idSchema, modelNameSchema, slotNameSchema, timestampMsSchema, versionSchema } from "../ids.ts";

/** The device job's states (vocabulary: "device job"); the ends follow the last working state. */
export const jobStateSchema = z.enum([
  "queued",
  "notified",
  "downloading",
  "downloaded",
  "verifying",
  "waiting",
  "installing",
  "self_test",
  "activating",
  "soaking",
  "succeeded",
  "failed",
  "rolled_back",
  "rollback_failed",
  "rejected",
  "already_installed",
  "no_compatible_build",
  "timed_out",
  "canceled",
  "removed",
]);

export const runningBuildSchema = z.strictObject({
  releaseId: idSchema,
  model: modelNameSchema,
  version: versionSchema,
  buildDigest: digestSchema,
});

export const placementSchema = z.strictObject({
  requested: z.array(z.string().max(32)).max(8),
  /** Share of node time per provider, or null with the reason why it is not proved. */
  proved: z.record(z.string().max(64), z.number().min(0).max(1)).nullable(),
  reason: z.string().max(200).nullable(),
});

export const slotReportSchema = z.strictObject({
  slot: slotNameSchema,
  active: runningBuildSchema.nullable(),
  previous: runningBuildSchema.nullable(),
  serving: z.boolean(),
  /** Why the slot does not serve, null while it does. */
  notServingReason: z.string().max(256).nullable(),
  placement: placementSchema.nullable(),
  /** The build that runs beside the active one and answers nobody; absent or null when none does. */
  shadow: runningBuildSchema
    .extend({ share: z.number().gt(0).max(1) })
    .nullable()
    .optional(),
  /** How the build was chosen; absent or null when the release left nothing to choose. */
  choice: slotChoiceSchema.nullable().optional(),
  job: z
    .strictObject({
      releaseId: idSchema.nullable(),
      rolloutId: idSchema.nullable(),
      attempt: z.int().min(1),
      state: jobStateSchema,
      /** Machine code of the end or of the wait, for instance `digest_mismatch`. */
      code: z.string().max(64).nullable(),
      reason: z.string().max(500).nullable(),
      progressRatio: z.number().min(0).max(1).nullable(),
      /** Set once the device has run its self-test for this job. */
      selfTest: z.strictObject({ passed: z.boolean(), latencyP95Us: z.number().min(0).nullable() }).nullable(),
    })
    .nullable(),
});

/** What runs now. `revision` grows with each report of one epoch, so an older report never replaces a newer one. */
export const reportedSchema = z.strictObject({
  v: z.literal(1),
  epoch: z.string().min(1).max(64),
  revision: z.int().min(1),
  tsMs: timestampMsSchema,
  generation: z.int().min(0),
  /** The last desired state or command that was refused, and why; null when none was since start. */
  refusal: z
    .strictObject({ code: z.string().max(64), reason: z.string().max(500), tsMs: timestampMsSchema })
    .nullable(),
  slots: z.array(slotReportSchema).max(64),
  inferenceEndpoint: z.string().max(256).nullable(),
});

export type JobState = z.infer<typeof jobStateSchema>;
export type RunningBuild = z.infer<typeof runningBuildSchema>;
export type Placement = z.infer<typeof placementSchema>;
export type SlotReport = z.infer<typeof slotReportSchema>;
export type Reported = z.infer<typeof reportedSchema>;

const endStates: ReadonlySet<JobState> = new Set([
  "succeeded",
  "failed",
  "rolled_back",
  "rollback_failed",
  "rejected",
  "already_installed",
  "no_compatible_build",
  "timed_out",
  "canceled",
  "removed",
]);
/** True for the states that are never left. */
export function isJobEnd(state: JobState): boolean {
  return endStates.has(state);
}
/** True for the ends that mean: the device runs what it was asked to run. */
export function isJobSuccess(state: JobState): boolean {
  return state === "succeeded" || state === "already_installed";
}
