import type { Role } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** What an issuer's token said when the session began. */
export interface SessionPerson {
  readonly role: Role;
  /** null: the whole fleet. */
  readonly selector: string | null;
  readonly issuer: string;
  readonly subject: string;
}

/** Sessions of browsers. Only the SHA-256 of the cookie is kept. Either a token of the plane or a person has one. */
export const sessions = defineTable("sessions", (column) => ({
  sessionHash: column.text().primaryKey(),
  actor: column.text().notNull(),
  /** Looked at again at every request: the session ends with it. */
  tokenId: column.text(),
  person: column.json<SessionPerson>(),
  createdAtMs: column.timeMs().notNull(),
  expiresAtMs: column.timeMs().notNull(),
}));
export type SessionRow = typeof sessions.$inferSelect;
