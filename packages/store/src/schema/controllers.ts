import type { Alert, RolloutState, SignedCommand } from "@fairlead/protocol";
import type { RemediationCase } from "@fairlead/remediation";
import type { RolloutRecord } from "@fairlead/rollout";
import { defineTable } from "./define-table.ts";

export const rollouts = defineTable("rollouts", (column) => ({
  rolloutId: column.text().primaryKey(),
  slot: column.text().notNull(),
  selector: column.text().notNull(),
  state: column.text().$type<RolloutState>().notNull(),
  createdBy: column.text().notNull(),
  updatedAtMs: column.timeMs().notNull(),
  /** Grows with every change; the entity tag. */
  revision: column.integer().notNull(),
  record: column.json<RolloutRecord>().notNull(),
}));
export type RolloutRow = typeof rollouts.$inferSelect;

export const commands = defineTable("commands", (column) => ({
  commandId: column.text().primaryKey(),
  device: column.text().notNull(),
  state: column.text().$type<"pending" | "done" | "failed" | "refused" | "expired">().notNull(),
  code: column.text(),
  reason: column.text(),
  remediationId: column.text(),
  document: column.json<SignedCommand>().notNull(),
  issuedAtMs: column.timeMs().notNull(),
  deadlineAtMs: column.timeMs().notNull(),
  endedAtMs: column.timeMs(),
}));
export type CommandRow = typeof commands.$inferSelect;

export const remediations = defineTable("remediations", (column) => ({
  remediationId: column.text().primaryKey(),
  device: column.text().notNull(),
  /** False once the case has ended and holds neither a quarantine nor an alert. */
  open: column.flag().notNull(),
  updatedAtMs: column.timeMs().notNull(),
  caseData: column.json<RemediationCase>().notNull(),
}));
export type RemediationRow = typeof remediations.$inferSelect;

export const alerts = defineTable("alerts", (column) => ({
  alertId: column.text().primaryKey(),
  remediationId: column.text(),
  device: column.text(),
  kind: column.text().notNull(),
  state: column.text().$type<Alert["state"]>().notNull(),
  summary: column.text().notNull(),
  firedAtMs: column.timeMs().notNull(),
  resolvedAtMs: column.timeMs(),
}));
export type AlertRow = typeof alerts.$inferSelect;
