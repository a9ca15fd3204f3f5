import * as z from "zod";
import { deviceIdSchema, digestSchema, labelsSchema, profileNameSchema, timestampMsSchema } from "../ids.ts";
import { birthSchema } from "../mqtt/messages.ts";
import { reportedSchema } from "../mqtt/reported.ts";
import { telemetryWindowSchema } from "../mqtt/telemetry.ts";
import { assuranceSchema } from "./endorsements.ts";

export const deviceLifecycleSchema = z.enum([
  "pending",
  "enrolled",
  "quarantined",
  "decommissioning",
  "decommissioned",
]);
export const integrityStateSchema = z.enum(["verified", "failed", "unknown", "unsupported", "stale"]);
export const updateStatusSchema = z.enum(["up_to_date", "out_of_date", "updating", "unknown"]);

export const deviceSlotSchema = z.object({
  slot: z.string(),
  desired: z
    .object({ model: z.string(), version: z.string(), releaseId: z.string(), rolloutId: z.string().nullable() })
    .nullable(),
  running: z.object({ model: z.string(), version: z.string(), buildDigest: z.string() }).nullable(),
  serving: z.boolean(),
  status: updateStatusSchema,
  job: z.object({ state: z.string(), code: z.string().nullable(), reason: z.string().nullable() }).nullable(),
});

export const deviceSummarySchema = z.object({
  device: deviceIdSchema,
  labels: labelsSchema,
  profile: profileNameSchema,
  lifecycle: deviceLifecycleSchema,
  online: z.boolean(),
  lastSeenMs: timestampMsSchema.nullable(),
  integrity: integrityStateSchema,
  assurance: assuranceSchema.default("software"),
  slots: z.array(deviceSlotSchema),
});

/** The end of a device: who asked for it, and whether the device said that it is empty. */
export const decommissionSchema = z.object({
  requestedAtMs: timestampMsSchema,
  requestedBy: z.string().max(128),
  reason: z.string().max(256),
  /** Ended without waiting for the device. */
  forced: z.boolean(),
  endedAtMs: timestampMsSchema.nullable(),
  wipe: z.enum(["pending", "confirmed", "unconfirmed"]),
});

export const clonedSchema = z.object({
  code: z.string(),
  reason: z.string(),
  evidence: z.array(z.string()),
  foundAtMs: timestampMsSchema,
});

/** A configuration file that is not as accepted; a digest is null where there was or is no such file. */
export const changedFileSchema = z.object({
  name: z.string(),
  before: digestSchema.nullable(),
  after: digestSchema.nullable(),
});

export const deviceDetailSchema = deviceSummarySchema.extend({
  enrolledAtMs: timestampMsSchema.nullable(),
  certificateNotAfterMs: timestampMsSchema.nullable(),
  /** Fingerprint of the TPM's endorsement key; null where none was proved. */
  endorsement: z.string().nullable().default(null),
  birth: birthSchema.nullable(),
  reported: reportedSchema.nullable(),
  lastWindow: telemetryWindowSchema.nullable(),
  integrityReason: z.string().nullable(),
  clockSkewMs: z.number().nullable(),
  decommission: decommissionSchema.nullable(),
  /** Why this identity is taken to be used in two places; null while nothing says so. */
  cloned: clonedSchema.nullable(),
  /** What an operator may accept; empty while the configuration is as it was accepted last. */
  changedConfiguration: z.array(changedFileSchema).default([]),
  telemetry: z.object({ epoch: z.string().nullable(), storedUpTo: z.int(), deadLetters: z.int(), gaps: z.int() }),
});

export const patchDeviceRequestSchema = z.strictObject({ labels: labelsSchema });

export const decommissionRequestSchema = z.strictObject({
  /** Revoke at once and do not wait for the device: what lies on it stays there. */
  force: z.boolean().default(false),
  reason: z.string().max(256).default("by an operator"),
});
export const releaseDeviceRequestSchema = z.strictObject({ reason: z.string().min(1).max(256) });

/** Accepts what was read as `changedConfiguration`; a device that has other files by now is refused. */
export const acceptConfigurationRequestSchema = z.strictObject({
  reason: z.string().min(1).max(256),
  files: z
    .array(z.strictObject({ name: z.string().min(1).max(256), digest: digestSchema.nullable() }))
    .min(1)
    .max(16),
});

/** What a device says once everything but its keys is gone, with the certificate that it is about to lose. */
export const wipedRequestSchema = z.strictObject({ v: z.literal(1) });
export const wipedResponseSchema = z.object({ ended: z.literal(true) });

export type DeviceSlot = z.infer<typeof deviceSlotSchema>;
export type DeviceSummary = z.infer<typeof deviceSummarySchema>;
export type DeviceDetail = z.infer<typeof deviceDetailSchema>;
export type Decommission = z.infer<typeof decommissionSchema>;
export type ChangedFile = z.infer<typeof changedFileSchema>;
export type AcceptConfigurationRequest = z.input<typeof acceptConfigurationRequestSchema>;
export type DecommissionRequest = z.input<typeof decommissionRequestSchema>;
export type DeviceLifecycle = z.infer<typeof deviceLifecycleSchema>;
export type IntegrityState = z.infer<typeof integrityStateSchema>;
