import * as z from "zod";
import { timestampMsSchema } from "../ids.ts";

/** Who did what to whom and why, with the numbers. Entries form a hash chain. */
export const auditEntrySchema = z.object({
  index: z.int().min(0),
  tsMs: timestampMsSchema,
  /** `<role>:<token id>`, `oidc:<issuer>#<subject>`, `device:<id>`, `plane:<controller>`, `anonymous`. */
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  reason: z.string(),
  /**
   * `from`: an address, or `plane`; `before` and `after` of what was changed, null where there was or is nothing; and what else
   * belongs to the action. Entries of the first versions may lack them.
   */
  details: z.record(z.string(), z.unknown()),
  previous: z.string(),
  hash: z.string(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

/** One SSE event at `/api/v1/events`: `event` = kind, `id` = position to resume from. */
export const streamEventSchema = z.object({
  kind: z.enum(["device", "rollout", "remediation", "audit", "model", "alert", "enrolment"]),
  subject: z.string(),
  tsMs: timestampMsSchema,
});
export type StreamEvent = z.infer<typeof streamEventSchema>;
