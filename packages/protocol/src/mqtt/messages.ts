import * as z from "zod";
import {
  deviceIdSchema,
  idSchema,
  planeStartSchema,
  profileNameSchema,
  tenantSchema,
  timestampMsSchema,
} from "../ids.ts";
import { executionProviderSchema } from "../documents/manifest.ts";
import { cloudEventSchema } from "./event.ts";
import { evidenceSchema } from "./evidence.ts";
import { telemetryWindowSchema } from "./telemetry.ts";

/** A device's outbox counts from 1 in an epoch; a new epoch begins when the outbox itself was lost. */
export const epochSchema = z.string().regex(/^[0-9a-z]{8,64}$/u);
export const sequenceSchema = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

/** What every stored-and-forwarded message carries. */
const forwarded = {
  v: z.literal(1),
  epoch: epochSchema,
  seq: sequenceSchema,
  tsMs: timestampMsSchema,
  uptimeMs: z.number().min(0),
};

export const telemetryMessageSchema = z.strictObject({
  ...forwarded,
  windows: z.array(telemetryWindowSchema).min(1).max(32),
});
export const eventMessageSchema = z.strictObject({ ...forwarded, event: cloudEventSchema });
export const evidenceMessageSchema = z.strictObject({ ...forwarded, evidence: evidenceSchema });
export const replyMessageSchema = z.strictObject({
  ...forwarded,
  commandId: idSchema,
  outcome: z.enum(["done", "failed", "refused", "expired"]),
  code: z.string().max(64).nullable(),
  reason: z.string().max(500).nullable(),
});

/** A device may send its plane beyond any number that it names, so there is room left above the highest. */
const generationSchema = z
  .int()
  .min(0)
  .max(2 ** 52);

export const birthSchema = z.strictObject({
  v: z.literal(1),
  tenant: tenantSchema,
  device: deviceIdSchema,
  session: z.int().min(1),
  /** Random, of this process alone and never on its disk. Agents of before do not say it. */
  instance: z
    .string()
    .regex(/^[0-9a-f]{24}$/u)
    .optional(),
  tsMs: timestampMsSchema,
  agentVersion: z.string().max(64),
  profile: profileNameSchema,
  arch: z.enum(["x64", "arm64"]),
  executionProviders: z.array(executionProviderSchema).max(8),
  formats: z.array(z.enum(["onnx"])).max(4),
  memoryTotalBytes: z.number().min(0).nullable(),
  inventory: z.record(z.string().max(64), z.union([z.string().max(256), z.number(), z.boolean(), z.null()])),
  epoch: epochSchema,
  lastSeq: z.int().min(0),
  /** Of the desired state that it follows; 0: none. */
  generation: generationSchema,
  /** The highest of a command that it ever admitted; 0: none. */
  commandGeneration: generationSchema.default(0),
});

export const statusSchema = z.strictObject({
  v: z.literal(1),
  online: z.boolean(),
  session: z.int().min(1),
  tsMs: timestampMsSchema,
});

/** Cumulative: everything of this epoch up to `upTo` is durably stored by the plane. */
export const ackSchema = z.strictObject({ v: z.literal(1), epoch: epochSchema, upTo: z.int().min(0) });

export const maxPlaneStarts = 64;

export const hostSchema = z.strictObject({
  v: z.literal(1),
  online: z.boolean(),
  tsMs: timestampMsSchema,
  /**
   * The starts that this plane's data folder remembers, the newest first. A device that has met a start which is not
   * among them knows two lines of one plane: a copy, or a backup that was restored.
   */
  starts: z.array(planeStartSchema).max(maxPlaneStarts).optional(),
});

export type TelemetryMessage = z.infer<typeof telemetryMessageSchema>;
export type EventMessage = z.infer<typeof eventMessageSchema>;
export type EvidenceMessage = z.infer<typeof evidenceMessageSchema>;
export type ReplyMessage = z.infer<typeof replyMessageSchema>;
export type Birth = z.infer<typeof birthSchema>;
export type Status = z.infer<typeof statusSchema>;
export type Ack = z.infer<typeof ackSchema>;
export type HostStatus = z.infer<typeof hostSchema>;
