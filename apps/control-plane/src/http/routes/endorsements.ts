import {
  activateRequestSchema,
  allowEndorsementRequestSchema,
  credentialChallengeSchema,
  endorsedEnrolRequestSchema,
  endorsementFingerprintSchema,
  endorsementSchema,
  enrolResponseSchema,
  idSchema,
  renewResponseSchema,
  sessionChallengeRequestSchema,
  sessionChallengeSchema,
  sessionRequestSchema,
  toListSchema,
} from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import type { EndorsedEnrolments } from "../../devices/endorsed-enrolment.ts";
import type { EndorsementList } from "../../devices/endorsement-list.ts";
import type { Sessions } from "../../devices/sessions.ts";
import type { RateLimit } from "../middleware/rate-limit.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export interface EndorsementRouteOptions {
  readonly store: Store;
  readonly list: EndorsementList;
  readonly enrolments: EndorsedEnrolments;
  readonly sessions: Sessions;
  readonly limit: RateLimit;
}

const path = "/api/v1/enrolments/endorsements";
const refusals = [
  ...(["tpm_malformed", "endorsement_unsupported", "endorsement_unknown", "attestation_refused"] as const),
  ...(["csr_invalid", "device_exists", "rate_limited"] as const),
];

/** What an operator does about endorsement keys. */
function createListRoutes({ store, list }: EndorsementRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path,
      summary: "Allow the TPM with this endorsement key to enrol without a token.",
      permission: "administer",
      audit: ["endorsement.allow"],
      request: { body: allowEndorsementRequestSchema },
      response: endorsementSchema,
      errors: ["endorsement_exists"],
      handle: async ({ body, by }) => ({ status: 201, body: await list.allow(body, by) }),
    }),
    defineRoute({
      method: "GET",
      path,
      summary: "List the endorsement keys that may enrol.",
      permission: "read",
      request: {
        query: z.strictObject({
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          cursor: z.string().max(256).optional(),
        }),
      },
      response: toListSchema(endorsementSchema),
      handle: async ({ query: { limit, cursor } }) => {
        const after = parseCursor(cursor);
        const page = { limit: limit + 1, ...(after === undefined ? {} : { after }) };
        return { body: toPage(await store.read.endorsements.list(page), limit, (row) => row.fingerprint) };
      },
    }),
    defineRoute({
      method: "DELETE",
      path: `${path}/:fingerprint`,
      summary: "Allow an endorsement key no longer; its device gets no further session.",
      permission: "administer",
      audit: ["endorsement.remove"],
      request: { params: z.strictObject({ fingerprint: endorsementFingerprintSchema }) },
      response: null,
      errors: ["not_found"],
      handle: async ({ params, by }) => {
        await list.remove(params.fingerprint, by);
        return { status: 204, body: null };
      },
    }),
  ];
}

/** What a device asks with its TPM. Nobody is known by a certificate yet: the TPM's answers say who asks. */
function createDeviceRoutes({ enrolments, sessions, limit }: EndorsementRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/enrol/endorsed",
      summary: "Ask for a device certificate with a TPM's endorsement key; the answer is a credential to activate.",
      permission: "public",
      audit: { none: "a challenge lives in memory for two minutes, and its answer is what changes something" },
      request: { body: endorsedEnrolRequestSchema },
      response: credentialChallengeSchema,
      errors: refusals,
      bodyBytes: 32_768,
      idempotent: false,
      handle: async ({ body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { status: 201, body: await enrolments.begin(body) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/enrol/endorsed/:challenge",
      summary: "Show what was in the credential; once.",
      permission: "public",
      audit: ["enrolment.request", "endorsement.allow", "device.enrol", "device.renew-certificate"],
      request: { params: z.strictObject({ challenge: idSchema }), body: activateRequestSchema },
      response: enrolResponseSchema,
      errors: [...refusals, "activation_refused"],
      bodyBytes: 4_096,
      idempotent: false,
      handle: async ({ params, body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { body: await enrolments.activate(params.challenge, body.secret, remoteAddress) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/device/session/challenge",
      summary: "Begin to ask for a session's certificate.",
      permission: "public",
      audit: { none: "a challenge lives in memory for two minutes, and its answer is what changes something" },
      request: { body: sessionChallengeRequestSchema },
      response: sessionChallengeSchema,
      errors: ["rate_limited"],
      bodyBytes: 4_096,
      idempotent: false,
      handle: async ({ body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { status: 201, body: sessions.challenge(body.device) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/device/session",
      summary: "Issue a short certificate for a key in memory that the key in the device's TPM vouches for.",
      permission: "public",
      audit: ["device.issue-certificate"],
      request: { body: sessionRequestSchema },
      response: renewResponseSchema,
      errors: ["session_refused", "unauthenticated", "endorsement_unknown", "rate_limited"],
      bodyBytes: 8_192,
      idempotent: false,
      handle: async ({ body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { status: 201, body: await sessions.issue(body, remoteAddress) };
      },
    }),
  ];
}

export function createEndorsementRoutes(options: EndorsementRouteOptions): AnyRoute[] {
  return [...createListRoutes(options), ...createDeviceRoutes(options)];
}
