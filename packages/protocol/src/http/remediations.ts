import * as z from "zod";
import { idSchema, timestampMsSchema } from "../ids.ts";

export const remediationStateSchema = z.enum([
  "detected",
  "planned",
  "awaiting_approval",
  "executing",
  "verifying",
  "resolved",
  "failed",
  "suppressed",
]);
export const symptomKindSchema = z.enum(["integrity-failed", "crash-loop", "device-silent", "placement-missed"]);

export const remediationSchema = z.object({
  remediationId: idSchema,
  device: z.string(),
  rule: z.string(),
  symptom: symptomKindSchema,
  /** What was seen: numbers and names. */
  evidence: z.record(z.string(), z.unknown()),
  state: remediationStateSchema,
  code: z.string(),
  reason: z.string(),
  detectedAtMs: timestampMsSchema,
  updatedAtMs: timestampMsSchema,
  endedAtMs: timestampMsSchema.nullable(),
  actions: z.array(
    z.object({
      kind: z.string(),
      atMs: timestampMsSchema,
      state: z.enum(["issued", "done", "failed"]),
      commandId: z.string().nullable(),
      detail: z.string(),
    }),
  ),
});

export const alertSchema = z.object({
  alertId: idSchema,
  device: z.string().nullable(),
  kind: z.string(),
  state: z.enum(["firing", "resolved"]),
  summary: z.string(),
  firedAtMs: timestampMsSchema,
  resolvedAtMs: timestampMsSchema.nullable(),
});

/** Why it is over, for the audit log. */
export const resolveAlertRequestSchema = z.strictObject({ reason: z.string().min(1).max(256) });

export type RemediationState = z.infer<typeof remediationStateSchema>;
export type SymptomKind = z.infer<typeof symptomKindSchema>;
export type Remediation = z.infer<typeof remediationSchema>;
export type Alert = z.infer<typeof alertSchema>;
