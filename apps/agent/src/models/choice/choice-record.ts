import type { BuildMeasurement } from "@fairlead/artifacts";
import {
  digestSchema,
  energyMethodSchema,
  readingSchema,
  slotChoiceSchema,
  slotNameSchema,
  timestampMsSchema,
  type Build,
  type ModelVersion,
} from "@fairlead/protocol";
import * as z from "zod";

/** What is to be chosen from: the builds of a verified release that this device can run, smallest first, at least two. */
export interface ChoiceRequest {
  /** Whose providers and demands decide where the builds run. */
  readonly slot: string;
  readonly releaseId: string;
  readonly content: ModelVersion;
  readonly candidates: readonly Build[];
}

/** One candidate's numbers, kept so that a restart does not measure again. */
export const measurementSchema = z.strictObject({
  digest: digestSchema,
  sizeBytes: z.int().min(1),
  latencyUs: z.strictObject({ p50: z.number().min(0), p99: z.number().min(0) }).nullable(),
  joulesPerInference: readingSchema,
  energyMethod: energyMethodSchema.nullable(),
  accuracyRatio: z.number().min(0).max(1).nullable(),
  agreementRatio: z.number().min(0).max(1).nullable(),
  runs: z.int().min(0),
  failure: z.string().max(240).nullable(),
  /** Name and version of the server that ran it; absent where it was the device's own runtime or nothing is known. */
  server: z.string().max(128).optional(),
});
export type Measurement = z.infer<typeof measurementSchema> & BuildMeasurement;

/** Candidates of one release on one machine as it is: another driver, processor or runtime is another key. */
export const choiceEntrySchema = z.strictObject({
  key: digestSchema,
  measured: z.array(measurementSchema).max(8),
  /** Candidates that could not be brought here, with the reason; tried again with the next attempt. */
  skipped: z.array(z.strictObject({ digest: digestSchema, reason: z.string().max(240) })).max(8),
  measuredAtMs: timestampMsSchema.nullable(),
  /** Saved before a benchmark begins: a build that takes the whole device down is found out after the restart. */
  running: z.strictObject({ digest: digestSchema, tries: z.int().min(1).max(100) }).nullable(),
});
export type ChoiceEntry = z.infer<typeof choiceEntrySchema>;

export const choicesSchema = z.strictObject({
  v: z.literal(1),
  /** Newest last. */
  entries: z.array(choiceEntrySchema).max(32),
  slots: z.record(slotNameSchema, slotChoiceSchema),
});
export type Choices = z.infer<typeof choicesSchema>;

/** Candidates that are brought here and measured; the rest is named and left alone. */
export const maxMeasured = 4;
const maxEntries = 32;

export function toPlanned({ candidates }: ChoiceRequest): readonly Build[] {
  return candidates.slice(0, maxMeasured);
}

export function createEntry(key: string): ChoiceEntry {
  return { key, measured: [], skipped: [], measuredAtMs: null, running: null };
}

export function withEntry(choices: Choices, entry: ChoiceEntry): Choices {
  const others = choices.entries.filter(({ key }) => key !== entry.key);
  return { ...choices, entries: [...others, entry].slice(-maxEntries) };
}

export function toFailed(build: Build, failure: string): Measurement {
  const { digest, sizeBytes } = build.artifact;
  const reason = "the build was not measured";
  return {
    digest,
    sizeBytes,
    latencyUs: null,
    joulesPerInference: { value: null, reason },
    energyMethod: null,
    accuracyRatio: null,
    agreementRatio: null,
    runs: 0,
    failure: failure.slice(0, 240),
  };
}
