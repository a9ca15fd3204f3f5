export { openStore, type Store, type StoreOptions, type Transaction } from "./store.ts";
export { isStoreError, type StoreErrorCode } from "./errors.ts";
export type { Repositories } from "./repositories.ts";
export type { ServingCrashRow, StoredAt } from "./repositories/messages.ts";
export type { SlotWindowQuery } from "./repositories/telemetry.ts";
export type { SessionPerson, SessionRow } from "./schema/sessions.ts";
export type { EndorsementRow } from "./schema/endorsements.ts";
export type { EnrolmentToken } from "./schema/enrolment-tokens.ts";
export type { AskedSlot, FleetRow, SelectableDevice, WatchedDevice } from "./repositories/devices.ts";
export type { AdminToken, DesiredDocument, DesiredSlotRow, Device, EnrolmentRow } from "./schema/devices.ts";
export type {
  DeadLetter,
  DeviceEpoch,
  EventRow,
  EvidenceRow,
  HostWindowRow,
  SlotWindowRow,
} from "./schema/messages.ts";
export type { IdempotencyKey, StreamEventRow } from "./schema/audit.ts";
export type {
  ArtifactRow,
  KnownBadVersionRow,
  ModelVersionRow,
  ReleaseRow,
  TrustMetadataRow,
} from "./schema/registry.ts";
export type { AlertRow, CommandRow, RemediationRow, RolloutRow } from "./schema/controllers.ts";
export type { WebhookDeliveryRow, WebhookRow } from "./schema/webhooks.ts";
