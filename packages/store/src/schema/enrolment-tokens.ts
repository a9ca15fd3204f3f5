import type { Labels } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** One-time (or n-time) permission to ask for a device certificate. Only the SHA-256 of the token is kept. */
export const enrolmentTokens = defineTable("enrolment_tokens", (column) => ({
  tokenId: column.text().primaryKey(),
  hash: column.text().notNull(),
  description: column.text().notNull(),
  labels: column.json<Labels>().notNull(),
  usesLeft: column.integer().notNull(),
  autoApprove: column.flag().notNull(),
  createdAtMs: column.timeMs().notNull(),
  expiresAtMs: column.timeMs().notNull(),
  /** What the labels of a device that uses it must match, besides: the scope of whoever made it; null: anything. */
  selector: column.text(),
  /** The only kind of board that may use it; null: any. */
  profile: column.text(),
}));

export type EnrolmentToken = typeof enrolmentTokens.$inferSelect;
