import type { Endorsement, Labels } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** Endorsement keys of TPMs that may enrol without a token. */
export const endorsements = defineTable("endorsements", (column) => ({
  /** SHA-256 of the SubjectPublicKeyInfo (DER), hexadecimal. */
  fingerprint: column.text().primaryKey(),
  description: column.text().notNull(),
  labels: column.json<Labels>().notNull(),
  profile: column.text(),
  /** The device that has it, or may have it; null until one enrols. */
  device: column.text(),
  autoApprove: column.flag().notNull(),
  source: column.text().$type<Endorsement["source"]>().notNull(),
  createdAtMs: column.timeMs().notNull(),
  createdBy: column.text().notNull(),
}));
export type EndorsementRow = typeof endorsements.$inferSelect;
