import {
  artifactReferenceSchema,
  classificationSchema,
  digestSchema,
  durationMsSchema,
  executionProviderSchema,
  idSchema,
  jobStateSchema,
  modelNameSchema,
  shadowTermsSchema,
  slotNameSchema,
  tensorInfoSchema,
  versionSchema,
  type Build,
  type ModelVersion,
} from "@fairlead/protocol";
import * as z from "zod";
import type { ExpectedModel } from "../serve/ipc.ts";

/*
 * What one slot remembers on disk. One file per slot, replaced in one step, so the pointer, the candidate and the job
 * can never disagree after a crash.
 */

/** A build with everything that loading, proving and reporting it needs, so that no network is needed later. */
export const installedBuildSchema = z.strictObject({
  releaseId: idSchema,
  model: modelNameSchema,
  version: versionSchema,
  artifact: artifactReferenceSchema,
  golden: artifactReferenceSchema.nullable(),
  latencyP95Ms: z.number().positive().nullable(),
  repeats: z.int().min(1).max(1_000),
  classification: classificationSchema.nullable(),
  providers: z.array(executionProviderSchema).min(1).max(8),
  /** Least share of golden cases that the release's policy asks for; absent: all. */
  accuracyFloor: z.number().min(0).max(1).optional(),
  /** The tensors that the release states; absent in what an older agent wrote. */
  tensors: z
    .strictObject({ inputs: z.array(tensorInfoSchema).max(64), outputs: z.array(tensorInfoSchema).max(64) })
    .optional(),
});

/** The model life cycle between absent and active; a slot without a candidate has nothing on its way. */
export const candidatePhaseSchema = z.enum(["downloading", "verified", "staged", "trial", "reverting", "shadowing"]);

export const candidateSchema = z.strictObject({
  phase: candidatePhaseSchema,
  build: installedBuildSchema,
  soakMs: durationMsSchema,
  /** Set: it is to run beside the active build, and never in its place. */
  shadow: shadowTermsSchema.optional(),
  /** How often the trial was begun, restarts of the device included: a model that takes the machine down is caught here. */
  trialStarts: z.int().min(0).max(1_000),
  /** Why the candidate goes back; set while reverting. */
  verdict: z.strictObject({ state: jobStateSchema, code: z.string().max(64), reason: z.string().max(500) }).nullable(),
});

export const jobSchema = z.strictObject({
  releaseId: idSchema.nullable(),
  rolloutId: idSchema.nullable(),
  attempt: z.int().min(1),
  state: jobStateSchema,
  code: z.string().max(64).nullable(),
  reason: z.string().max(500).nullable(),
  selfTest: z.strictObject({ passed: z.boolean(), latencyP95Us: z.number().min(0).nullable() }).nullable(),
});

export const slotRecordSchema = z.strictObject({
  v: z.literal(1),
  slot: slotNameSchema,
  /** The confirmed build, served for ever unless something better is proved. */
  active: installedBuildSchema.nullable(),
  previous: installedBuildSchema.nullable(),
  candidate: candidateSchema.nullable(),
  job: jobSchema.nullable(),
  /** Set by a stop-serving command; survives restarts until a repair or a new build lifts it. */
  stopped: z
    .strictObject({
      reason: z.string().max(256),
      /** A client on the device asked for it, and may take it back; forgotten when the agent starts. */
      byClient: z.literal(true).optional(),
    })
    .nullable(),
  /** Digests whose file on this disk is not what it claims to be; never loaded until fetched again. */
  distrusted: z.array(digestSchema).max(16),
});

export type InstalledBuild = z.infer<typeof installedBuildSchema>;
export type Candidate = z.infer<typeof candidateSchema>;
export type Job = z.infer<typeof jobSchema>;
export type SlotRecord = z.infer<typeof slotRecordSchema>;

export function createSlotRecord(slot: string): SlotRecord {
  return {
    v: 1,
    slot,
    active: null,
    previous: null,
    candidate: null,
    job: null,
    stopped: null,
    distrusted: [],
  };
}

/** The part of a release that the device keeps once it has chosen a build. */
export function toInstalledBuild(releaseId: string, content: ModelVersion, build: Build): InstalledBuild {
  return {
    releaseId,
    model: content.model,
    version: content.version,
    artifact: build.artifact,
    golden: content.selfTest.golden,
    latencyP95Ms: content.selfTest.latencyP95Ms,
    repeats: content.selfTest.repeats,
    classification: content.classification,
    providers: build.target.executionProviders,
    tensors: { inputs: build.inputs, outputs: build.outputs },
    ...(typeof content.choice?.accuracyFloor === "number" ? { accuracyFloor: content.choice.accuracyFloor } : {}),
  };
}

/**
 * The build that the slot should serve now: the candidate on trial, else the confirmed one, else, when its file is
 * distrusted, the one before it. Null when nothing may be served.
 */
export function toServingTarget(record: SlotRecord): InstalledBuild | null {
  const trusted = (build: InstalledBuild | null): build is InstalledBuild =>
    build !== null && !record.distrusted.includes(build.artifact.digest);
  if (record.stopped !== null) return null;
  if (record.candidate?.phase === "trial" && trusted(record.candidate.build)) return record.candidate.build;
  if (trusted(record.active)) return record.active;
  return trusted(record.previous) ? record.previous : null;
}

/** What clients of a serving process that has nothing in memory yet may wait for. */
export function toExpectedModels(record: SlotRecord): readonly ExpectedModel[] {
  const target = toServingTarget(record);
  return target === null ? [] : [{ slot: record.slot, model: target.model, version: target.version }];
}

/** What the slot would go back to: from a build on trial to the confirmed one, from that to the one before it. */
export function toWayBack(record: SlotRecord): InstalledBuild | null {
  return record.candidate?.phase === "trial" ? record.active : record.previous;
}

/** Every artifact that must stay on disk for this slot. */
export function toKeptDigests(record: SlotRecord): readonly string[] {
  const builds = [record.active, record.previous, record.candidate?.build ?? null];
  return builds.flatMap((build) =>
    build === null ? [] : [build.artifact.digest, ...(build.golden === null ? [] : [build.golden.digest])],
  );
}
