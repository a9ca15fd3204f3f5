import type { Database } from "./database.ts";
import {
  createAuditRepository,
  createIdempotencyRepository,
  createSettingRepository,
  createStreamEventRepository,
} from "./repositories/audit.ts";
import { createDeviceCertificateRepository } from "./repositories/device-certificates.ts";
import { createDeviceRepository } from "./repositories/devices.ts";
import { createEndorsementRepository } from "./repositories/endorsements.ts";
import { createEnrolmentTokenRepository } from "./repositories/enrolment-tokens.ts";
import { createAdminTokenRepository, createEnrolmentRepository } from "./repositories/enrolments.ts";
import { createKnownBadRepository } from "./repositories/known-bad.ts";
import {
  createDeadLetterRepository,
  createEventRepository,
  createEvidenceRepository,
  createSequenceRepository,
} from "./repositories/messages.ts";
import {
  createArtifactRepository,
  createModelVersionRepository,
  createReleaseRepository,
} from "./repositories/registry.ts";
import {
  createAlertRepository,
  createCommandRepository,
  createRemediationRepository,
} from "./repositories/remediations.ts";
import { createRolloutRepository } from "./repositories/rollouts.ts";
import { createSessionRepository } from "./repositories/sessions.ts";
import { createTelemetryRepository } from "./repositories/telemetry.ts";
import { createTrustMetadataRepository } from "./repositories/trust-metadata.ts";
import { createWebhookDeliveryRepository, createWebhookRepository } from "./repositories/webhooks.ts";

/** Every aggregate's repository, bound to one connection. A new aggregate is one line here. */
export function createRepositories(db: Database) {
  return {
    enrolmentTokens: createEnrolmentTokenRepository(db),
    endorsements: createEndorsementRepository(db),
    enrolments: createEnrolmentRepository(db),
    adminTokens: createAdminTokenRepository(db),
    sessions: createSessionRepository(db),
    devices: createDeviceRepository(db),
    deviceCertificates: createDeviceCertificateRepository(db),
    sequences: createSequenceRepository(db),
    telemetry: createTelemetryRepository(db),
    events: createEventRepository(db),
    evidence: createEvidenceRepository(db),
    deadLetters: createDeadLetterRepository(db),
    audit: createAuditRepository(db),
    streamEvents: createStreamEventRepository(db),
    idempotency: createIdempotencyRepository(db),
    settings: createSettingRepository(db),
    rollouts: createRolloutRepository(db),
    commands: createCommandRepository(db),
    remediations: createRemediationRepository(db),
    alerts: createAlertRepository(db),
    artifacts: createArtifactRepository(db),
    modelVersions: createModelVersionRepository(db),
    releases: createReleaseRepository(db),
    knownBad: createKnownBadRepository(db),
    trustMetadata: createTrustMetadataRepository(db),
    webhooks: createWebhookRepository(db),
    webhookDeliveries: createWebhookDeliveryRepository(db),
  };
}

export type Repositories = ReturnType<typeof createRepositories>;
