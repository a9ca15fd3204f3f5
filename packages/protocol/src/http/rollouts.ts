import * as z from "zod";
import {
  durationMsSchema,
  idSchema,
  modelNameSchema,
  ratioSchema,
  slotNameSchema,
  timestampMsSchema,
  versionSchema,
} from "../ids.ts";
import { shadowTermsSchema } from "../documents/signed.ts";
import { selectorSchema } from "../selector.ts";

const minRequests = z.int().min(1).max(1_000_000_000).default(50);

/**
 * A question that a stage must answer before the rollout goes on. `absolute` judges the stage's devices alone;
 * `control` judges them against the cohort that still runs the previous version in the same time.
 */
export const gateSpecSchema = z.union([
  /** Share of the stage's devices whose self-test passed. */
  z.strictObject({ kind: z.literal("self-test"), minPassedRatio: ratioSchema }),
  /** Each device proves at least this share of node time on the execution provider that it wanted first. */
  z.strictObject({ kind: z.literal("placement"), minShare: ratioSchema }),
  z.strictObject({ kind: z.literal("errors"), against: z.literal("absolute"), maxRatio: ratioSchema, minRequests }),
  /** Allowed increase of the error ratio over the control cohort, in ratio points. */
  z.strictObject({ kind: z.literal("errors"), against: z.literal("control"), maxIncrease: ratioSchema, minRequests }),
  z.strictObject({
    kind: z.literal("latency"),
    against: z.literal("absolute"),
    quantile: z.number().min(0.01).max(0.999),
    maxMs: z.number().positive().max(600_000),
    minRequests,
  }),
  /** Allowed quotient of the stage's quantile by the control's. */
  z.strictObject({
    kind: z.literal("latency"),
    against: z.literal("control"),
    quantile: z.number().min(0.01).max(0.999),
    maxRatio: z.number().min(1).max(1_000),
    minRequests,
  }),
  /** Mean top-1 probability. */
  z.strictObject({ kind: z.literal("confidence"), against: z.literal("absolute"), minMean: ratioSchema, minRequests }),
  z.strictObject({ kind: z.literal("confidence"), against: z.literal("control"), maxDrop: ratioSchema, minRequests }),
  /** Jensen–Shannon divergence (base 2, 0..1) of the class distribution from a stated one, or from the control's. */
  z.strictObject({
    kind: z.literal("drift"),
    against: z.literal("absolute"),
    expected: z.array(z.number().min(0).max(1)).min(2).max(10_000),
    maxDivergence: ratioSchema,
    minRequests,
  }),
  z.strictObject({ kind: z.literal("drift"), against: z.literal("control"), maxDivergence: ratioSchema, minRequests }),
  /** Share of compared inputs on which a shadow says the same as the active build beside it. `minRequests` counts those. */
  z.strictObject({ kind: z.literal("agreement"), minRatio: ratioSchema, minRequests }),
  /** Joules of one inference. */
  z.strictObject({
    kind: z.literal("energy"),
    against: z.literal("absolute"),
    maxJ: z.number().positive().max(1e6),
    minRequests,
  }),
  /** Allowed quotient of the stage's joules of one inference by the control's. */
  z.strictObject({
    kind: z.literal("energy"),
    against: z.literal("control"),
    maxRatio: z.number().positive().max(1_000),
    minRequests,
  }),
]);

export const stageSpecSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/u, "lower-case letters, digits and dashes, no dash first, at most 32 characters"),
  /** Cumulative share of the rollout's devices, or the devices that a selector names within the rollout's. */
  target: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("percent"), percent: z.number().gt(0).max(100) }),
    z.strictObject({ kind: z.literal("selector"), selector: selectorSchema }),
  ]),
  /**
   * Set: the stage's devices run the version beside the one that serves, on a share of its input, and are the stage's
   * control themselves. When the stage passes, they are offered the version in the next stage. Null: it is installed.
   */
  shadow: shadowTermsSchema.nullable().default(null),
  /** Share of the stage's devices that must succeed for the stage to pass. */
  successRatio: ratioSchema.default(1),
  /** The stage fails when more devices fail than either bound. */
  maxFailures: z
    .strictObject({
      count: z.int().min(0).max(1_000_000).nullable().default(0),
      ratio: ratioSchema.nullable().default(null),
    })
    .prefault({}),
  soakMs: durationMsSchema.default(60_000),
  /** From the first offer to success of enough devices; and again the longest wait for gate evidence after the soak. */
  timeoutMs: durationMsSchema.min(1_000).default(3_600_000),
  approval: z.enum(["automatic", "manual"]).default("automatic"),
  gates: z.array(gateSpecSchema).max(16).default([]),
});

export const rolloutSpecSchema = z.strictObject({
  slot: slotNameSchema,
  model: modelNameSchema,
  version: versionSchema,
  selector: selectorSchema,
  /** Written out where an empty selector is meant: one that a variable left empty would be the whole fleet by a slip. */
  wholeFleet: z.boolean().default(false),
  /** Devices that stay on the previous version until every stage before the last has passed. */
  control: selectorSchema.nullable().default(null),
  stages: z.array(stageSpecSchema).min(1).max(32),
  onFailure: z.enum(["rollback", "pause"]).default("rollback"),
  /** How long each device watches the new build itself before it confirms it. */
  deviceSoakMs: durationMsSchema.default(30_000),
});

export const rolloutStateSchema = z.enum([
  "draft",
  "pending_approval",
  "ready",
  "running",
  "paused",
  "succeeded",
  "failed",
  "canceled",
  "rolling_back",
  "rolled_back",
  "rollback_failed",
]);
export const pauseReasonSchema = z.enum([
  "manual",
  "gate_failed",
  "window_closed",
  "approval",
  "budget",
  "carbon",
  "trust",
]);
export const stageStateSchema = z.enum(["scheduled", "running", "soaking", "passed", "failed", "skipped"]);

/** What a gate answered, with the numbers behind it. */
export const verdictSchema = z.strictObject({
  gate: z.string(),
  kind: z.enum(["pass", "wait", "fail"]),
  code: z.string(),
  why: z.string(),
  /** The value found and the bound it was held against; null where there is no evidence yet. */
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  control: z.number().nullable(),
  samples: z.int().nullable(),
});

export const stageStatusSchema = z.object({
  name: z.string(),
  state: stageStateSchema,
  startedAtMs: timestampMsSchema.nullable(),
  soakingSinceMs: timestampMsSchema.nullable(),
  endedAtMs: timestampMsSchema.nullable(),
  counts: z.object({
    planned: z.int(),
    offered: z.int(),
    working: z.int(),
    succeeded: z.int(),
    failed: z.int(),
    unknown: z.int(),
  }),
  verdicts: z.array(verdictSchema),
});

export const rolloutStatusSchema = z.object({
  rolloutId: idSchema,
  spec: rolloutSpecSchema,
  state: rolloutStateSchema,
  pauseReason: pauseReasonSchema.nullable(),
  /** Machine code and human reason of the present state. */
  code: z.string(),
  reason: z.string(),
  createdAtMs: timestampMsSchema,
  createdBy: z.string(),
  updatedAtMs: timestampMsSchema,
  etag: z.string(),
  stages: z.array(stageStatusSchema),
  devices: z.array(
    z.object({
      device: z.string(),
      stage: z.string().nullable(),
      state: z.string(),
      code: z.string().nullable(),
      reason: z.string().nullable(),
      previousVersion: z.string().nullable(),
    }),
  ),
});

/** As lists have it: without the devices, of which a rollout has as many as the fleet. */
export const rolloutSummarySchema = rolloutStatusSchema.omit({ devices: true });

export const rolloutActionSchema = z.enum(["pause", "resume", "promote", "abort", "undo", "retry"]);
/** `POST /api/v1/rollouts/{id}/actions`. */
export const rolloutActionRequestSchema = z.strictObject({
  action: rolloutActionSchema,
  /**
   * The stage that a promotion is meant for, by name: needed once the rollout has begun, so that two people who promote
   * the same stage do not pass two.
   */
  stage: z.string().max(32).optional(),
  reason: z.string().max(500).default(""),
});

/** A version that a rollout failed for cause, and who accepted to run it all the same. */
export const knownBadVersionSchema = z.object({
  model: modelNameSchema,
  version: versionSchema,
  releaseId: idSchema,
  rolloutId: idSchema,
  code: z.string(),
  reason: z.string(),
  judgedAtMs: timestampMsSchema,
  acceptedBy: z.string().nullable(),
  acceptedAtMs: timestampMsSchema.nullable(),
  acceptedReason: z.string().nullable(),
});
/** `POST /api/v1/models/{model}/versions/{version}/acceptances`. */
export const acceptanceRequestSchema = z.strictObject({ reason: z.string().min(1).max(500) });

/** `GET /api/v1/rollouts/{id}/history`: every decision with its numbers. */
export const rolloutHistoryEntrySchema = z.object({
  tsMs: timestampMsSchema,
  kind: z.string(),
  code: z.string(),
  reason: z.string(),
  details: z.record(z.string(), z.unknown()),
});

export type GateSpec = z.infer<typeof gateSpecSchema>;
export type StageSpec = z.infer<typeof stageSpecSchema>;
export type RolloutSpec = z.infer<typeof rolloutSpecSchema>;
export type RolloutState = z.infer<typeof rolloutStateSchema>;
export type PauseReason = z.infer<typeof pauseReasonSchema>;
export type StageState = z.infer<typeof stageStateSchema>;
export type Verdict = z.infer<typeof verdictSchema>;
export type StageStatus = z.infer<typeof stageStatusSchema>;
export type RolloutStatus = z.infer<typeof rolloutStatusSchema>;
export type RolloutSummary = z.infer<typeof rolloutSummarySchema>;
export type KnownBadVersion = z.infer<typeof knownBadVersionSchema>;
export type RolloutAction = z.infer<typeof rolloutActionSchema>;
export type RolloutHistoryEntry = z.infer<typeof rolloutHistoryEntrySchema>;
