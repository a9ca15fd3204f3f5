import type {
  Assurance,
  Birth,
  Decommission,
  DeviceLifecycle,
  Enrolment,
  IntegrityState,
  Labels,
  Measurement,
  Reported,
  DesiredSlot,
  SignedDesiredState,
  Role,
  SignedRelease,
} from "@fairlead/protocol";
import type { FileBaseline, IdentityWatch } from "@fairlead/integrity";
import { defineTable } from "./define-table.ts";

export const devices = defineTable("devices", (column) => ({
  device: column.text().primaryKey(),
  tenant: column.text().notNull(),
  labels: column.json<Labels>().notNull(),
  profile: column.text().notNull(),
  lifecycle: column.text().$type<DeviceLifecycle>().notNull(),
  /** Grows with every change that an operator makes; the entity tag. */
  revision: column.integer().notNull(),
  enrolledAtMs: column.timeMs(),
  certificateSerial: column.text(),
  /** `sha256:` of the only certificate (DER) that is valid now. */
  certificateFingerprint: column.text(),
  certificateNotAfterMs: column.timeMs(),
  online: column.flag().notNull(),
  session: column.integer(),
  lastSeenMs: column.timeMs(),
  birth: column.json<Birth>(),
  birthAtMs: column.timeMs(),
  reported: column.json<Reported>(),
  reportedEpoch: column.text(),
  reportedRevision: column.integer(),
  reportedAtMs: column.timeMs(),
  integrity: column.text().$type<IntegrityState>().notNull(),
  integrityReason: column.text(),
  integrityAtMs: column.timeMs(),
  chainIndex: column.integer(),
  chainHead: column.text(),
  /** The latest measurement of every name; null until a full list came. */
  measurements: column.json<readonly Measurement[]>(),
  /** Recorded from the first full evidence of an agent version. */
  fileBaseline: column.json<FileBaseline>(),
  /** Device clock minus ours at the last birth; positive when the device is ahead. */
  clockSkewMs: column.real(),
  epoch: column.text(),
  deadLetters: column.integer().notNull(),
  /** Issued to replace the one in force, and not used yet. */
  pendingCertificate: column.json<PendingCertificate>(),
  /** How the device came to its end; null while nobody asked for that. */
  decommission: column.json<Decommission>(),
  /** Where and as which process it was seen, and what speaks for two of them; null until it was seen. */
  identityWatch: column.json<IdentityWatch>(),
  /** When an operator let it go from a quarantine for being used twice; until then no certificate counts. */
  releasedAtMs: column.timeMs(),
  assurance: column.text().$type<Assurance>().notNull(),
  /** SubjectPublicKeyInfo (DER, base64) of the key in the device's TPM; null: its key is in a file. */
  identityKey: column.text(),
  /** Fingerprint of the endorsement key that was proved. */
  endorsement: column.text(),
  /** `sha256:` of the key (DER, SubjectPublicKeyInfo) that it enrolled with: which enrolment an order is for. */
  enrolledKey: column.text().notNull(),
  /** Of the newest command to this name. It goes on when the name is given again. */
  commandGeneration: column.integer().notNull(),
}));
export interface PendingCertificate {
  readonly serial: string;
  /** `sha256:` of the certificate (DER). */
  readonly fingerprint: string;
  readonly notAfterMs: number;
}
export type Device = typeof devices.$inferSelect;

/** What each slot of a device should run; source of the signed document. */
export const deviceSlots = defineTable(
  "device_slots",
  (column) => ({
    device: column.text().notNull(),
    slot: column.text().notNull(),
    releaseId: column.text(),
    model: column.text(),
    version: column.text(),
    rolloutId: column.text(),
    attempt: column.integer().notNull(),
    soakMs: column.integer().notNull(),
    release: column.json<SignedRelease>(),
    /** Builds of this and earlier releases of the slot, newest first: what may lie on the device. */
    knownDigests: column.json<readonly string[]>().notNull(),
    updatedAtMs: column.timeMs().notNull(),
    /** What is to run beside the release; null = nothing. */
    shadow: column.json<NonNullable<DesiredSlot["shadow"]>>(),
  }),
  ["device", "slot"],
);
export type DesiredSlotRow = typeof deviceSlots.$inferSelect;

export const desiredDocuments = defineTable("desired_documents", (column) => ({
  device: column.text().primaryKey(),
  generation: column.integer().notNull(),
  document: column.json<SignedDesiredState>().notNull(),
  expiresAtMs: column.timeMs().notNull(),
}));
export type DesiredDocument = typeof desiredDocuments.$inferSelect;

export const enrolments = defineTable("enrolments", (column) => ({
  enrolmentId: column.text().primaryKey(),
  tokenId: column.text().notNull(),
  tokenHash: column.text().notNull(),
  device: column.text().notNull(),
  state: column.text().$type<Enrolment["state"]>().notNull(),
  profile: column.text().notNull(),
  labels: column.json<Labels>().notNull(),
  csr: column.text().notNull(),
  csrFingerprint: column.text().notNull(),
  fromAddress: column.text().notNull(),
  requestedAtMs: column.timeMs().notNull(),
  decidedAtMs: column.timeMs(),
  reason: column.text(),
  certificate: column.text(),
  assurance: column.text().$type<Assurance>().notNull(),
  identityKey: column.text(),
  endorsement: column.text(),
}));
export type EnrolmentRow = typeof enrolments.$inferSelect;

export const adminTokens = defineTable("admin_tokens", (column) => ({
  tokenId: column.text().primaryKey(),
  hash: column.text().notNull(),
  description: column.text().notNull(),
  createdAtMs: column.timeMs().notNull(),
  role: column.text().$type<Role>().notNull(),
  /** null: one that was printed at a start before such tokens ended. */
  expiresAtMs: column.timeMs(),
  revokedAtMs: column.timeMs(),
  /** The part of the fleet that it reaches; null: all of it. */
  selector: column.text(),
  /** Who has it; `owner`: whoever owns the plane's machine. */
  person: column.text().notNull(),
}));
export type AdminToken = typeof adminTokens.$inferSelect;
