import type { Clock } from "@fairlead/kernel";
import type { Store } from "@fairlead/store";
import type { OpenAuthority } from "../authority/open-authority.ts";
import type { Endpoints } from "../broker/endpoints.ts";
import type { PlaneConfig } from "../config.ts";
import type { AuditLog, DeviceHooks, StreamFeed } from "../context.ts";
import { createRateLimit } from "../http/middleware/rate-limit.ts";
import type { AnyRoute } from "../http/route.ts";
import { createDeviceCertificateRoutes } from "../http/routes/device-certificate.ts";
import { createEndorsementRoutes } from "../http/routes/endorsements.ts";
import { createEnrolmentRoutes } from "../http/routes/enrolments.ts";
import { createRevocationRoutes } from "../http/routes/revocations.ts";
import { createAdmission, type AdmissionOptions } from "./admission.ts";
import { createChallenges } from "./challenges.ts";
import { createEndorsedEnrolments } from "./endorsed-enrolment.ts";
import { createEndorsementList } from "./endorsement-list.ts";
import { createEnrolments } from "./enrolment.ts";
import { createEnrolmentTokens } from "./enrolment-tokens.ts";
import { createRenewals } from "./renewal.ts";
import { createRevocations } from "./revocations.ts";
import { createSessions } from "./sessions.ts";
import { loadTpmMakers } from "./tpm-makers.ts";

export interface DeviceIdentityOptions {
  readonly config: PlaneConfig;
  readonly store: Store;
  readonly clock: Clock;
  readonly createId: (prefix: string) => string;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly authority: OpenAuthority;
  readonly endpoints: Endpoints;
  readonly hooks: () => readonly DeviceHooks[];
  readonly onEnrolled: AdmissionOptions["onEnrolled"];
  /** What began with the certificate of before has to end; `fingerprint` is that of the one in force now. */
  readonly onReplaced: (device: string, fingerprint: string) => void;
}

export interface DeviceIdentity {
  readonly isInForce: (device: string, fingerprint: string, fromAddress: string) => Promise<boolean>;
  readonly routes: readonly AnyRoute[];
}

/** Wires how devices become known and stay known: tokens, endorsement keys, certificates, sessions. */
export function createDeviceIdentity(options: DeviceIdentityOptions): DeviceIdentity {
  const { config, store, clock, createId, audit, stream, authority, endpoints, hooks, onEnrolled, onReplaced } =
    options;
  const { tenant, deviceCertificateDays: certificateDays } = config;
  const common = { tenant, store, clock, audit, stream };
  const admission = createAdmission({
    ...{ tenant, clock, audit, stream, authority, endpoints, certificateDays, hooks, onEnrolled, onReplaced },
    readTrustRoot: async () => (await store.read.trustMetadata.getNewest("root"))?.text ?? null,
  });
  const renewals = createRenewals({ ...common, authority: authority.authority, certificateDays, onReplaced });
  const enrolments = createEnrolments({
    ...{ store, clock, createId, audit, stream, admission },
    authorityFingerprint: authority.fingerprint,
  });
  const waiting = (prefix: string) => ({ clock, createId: () => createId(prefix), ttlMs: 120_000, capacity: 1_000 });
  const endorsed = createEndorsedEnrolments({
    ...{ store, clock, audit, enrolments, challenges: createChallenges(waiting("chl")) },
    makers: loadTpmMakers(config.endorsementCaFile),
  });
  const sessions = createSessions({
    ...{ tenant, store, clock, audit, authority: authority.authority, sessionHours: config.sessionHours },
    challenges: createChallenges(waiting("ses")),
  });
  const limit = createRateLimit(clock, { burst: 600, perMinute: 600 });
  const list = createEndorsementList({ store, clock, audit });
  return {
    isInForce: (device, fingerprint, fromAddress) => renewals.admit(device, fingerprint, fromAddress),
    routes: [
      ...createEnrolmentRoutes({ store, enrolments, tokens: createEnrolmentTokens({ store, audit }), limit }),
      ...createEndorsementRoutes({ store, list, enrolments: endorsed, sessions, limit }),
      ...createRevocationRoutes(createRevocations({ store, clock, authority: authority.authority })),
      ...createDeviceCertificateRoutes(renewals, createRateLimit(clock, { burst: 5, perMinute: 1 })),
    ],
  };
}
