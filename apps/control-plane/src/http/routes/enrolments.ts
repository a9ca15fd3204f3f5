import {
  createTokenRequestSchema,
  createTokenResponseSchema,
  enrolmentSchema,
  enrolmentTokenSchema,
  enrolRequestSchema,
  enrolResponseSchema,
  idSchema,
  listQuerySchema,
  toListSchema,
} from "@fairlead/protocol";
import type { EnrolmentRow, Store } from "@fairlead/store";
import * as z from "zod";
import type { Enrolments } from "../../devices/enrolment.ts";
import type { EnrolmentTokens } from "../../devices/enrolment-tokens.ts";
import { createScopeView, listKept } from "../../authority/scope-view.ts";
import type { RateLimit } from "../middleware/rate-limit.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const idParams = z.strictObject({ enrolment: idSchema });
const errors = [
  ...(["token_invalid", "token_spent", "profile_mismatch", "csr_invalid", "device_exists"] as const),
  ...(["tpm_malformed", "attestation_refused"] as const),
];

function toEnrolment(row: EnrolmentRow) {
  const { enrolmentId, device, state, profile, requestedAtMs, fromAddress, csrFingerprint, assurance } = row;
  return { enrolmentId, device, state, profile, requestedAtMs, fromAddress, csrFingerprint, assurance };
}

export interface EnrolmentRouteOptions {
  readonly store: Store;
  readonly enrolments: Enrolments;
  readonly tokens: EnrolmentTokens;
  readonly limit: RateLimit;
}

export function createEnrolmentRoutes({ store, enrolments, tokens, limit }: EnrolmentRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/enrolments/tokens",
      summary: "Make a token with which devices ask for a certificate; it is shown once.",
      permission: "administer",
      reach: "narrowed",
      audit: ["enrolment-token.create"],
      request: { body: createTokenRequestSchema },
      response: createTokenResponseSchema,
      // A kept answer would keep the secret.
      idempotent: false,
      handle: async ({ body, by, scope }) => ({
        status: 201,
        body: await enrolments.createToken(body, { ...by, scope }),
      }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/enrolments/tokens",
      summary: "List the tokens with which devices may enrol, without their secrets",
      permission: "administer",
      reach: "narrowed",
      request: { query: listQuerySchema },
      response: toListSchema(enrolmentTokenSchema),
      handle: async ({ scope }) => ({ body: { items: await tokens.list(scope), nextCursor: null } }),
    }),
    defineRoute({
      method: "DELETE",
      path: "/api/v1/enrolments/tokens/:token",
      summary: "Let nobody enrol with a token any more; devices that did stay",
      permission: "administer",
      reach: "narrowed",
      audit: ["enrolment-token.revoke"],
      request: { params: z.strictObject({ token: idSchema }) },
      response: null,
      errors: ["not_found"],
      handle: async ({ params, by, scope }) => {
        await tokens.revoke(params.token, { ...by, scope });
        return { status: 204, body: null as never };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/enrol",
      summary: "Ask for a device certificate with an enrolment token.",
      permission: "public",
      audit: ["enrolment.request", "device.enrol", "device.issue-certificate", "device.renew-certificate"],
      request: { body: enrolRequestSchema },
      response: enrolResponseSchema,
      errors,
      bodyBytes: 32_768,
      handle: async ({ body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { body: await enrolments.enrol(body, remoteAddress) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/enrolments/:enrolment/poll",
      summary: "Ask whether an enrolment was decided; with the token that began it.",
      permission: "public",
      audit: { none: "it reads what was decided; the token that it needs is why it has a body" },
      request: { params: idParams, body: z.strictObject({ token: z.string().max(256) }) },
      response: enrolResponseSchema,
      errors,
      bodyBytes: 4_096,
      handle: async ({ params, body, remoteAddress }) => {
        limit.take(remoteAddress);
        return { body: await enrolments.poll(params.enrolment, body.token) };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/enrolments",
      summary: "List enrolments, newest first.",
      permission: "read",
      reach: "narrowed",
      request: {
        query: z.strictObject({
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          cursor: z.string().max(256).optional(),
          state: enrolmentSchema.shape.state.optional(),
        }),
      },
      response: toListSchema(enrolmentSchema),
      handle: async ({ query, scope }) => {
        const before = parseCursor(query.cursor);
        const view = createScopeView(store.read, scope);
        const filter = {
          ...(before === undefined ? {} : { before }),
          ...(query.state === undefined ? {} : { state: query.state }),
        };
        const readPage = (limit: number, offset: number) => store.read.enrolments.list({ ...filter, limit, offset });
        const rows = await listKept(query.limit + 1, readPage, (row) => view.hasEnrolment(row));
        return { body: toPage(rows.map(toEnrolment), query.limit, (row) => row.enrolmentId) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/enrolments/:enrolment/approve",
      summary: "Issue the certificate that was asked for.",
      permission: "approve",
      reach: "narrowed",
      audit: ["device.enrol", "device.issue-certificate", "device.renew-certificate"],
      request: { params: idParams, body: z.strictObject({}) },
      response: enrolmentSchema,
      errors: ["not_found", "conflict", "device_exists", "key_retired", "token_spent"],
      handle: async ({ params, by, scope }) => ({
        body: toEnrolment(await enrolments.approve(params.enrolment, { ...by, scope })),
      }),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/enrolments/:enrolment/deny",
      summary: "Refuse a device.",
      permission: "approve",
      reach: "narrowed",
      audit: ["device.deny"],
      request: { params: idParams, body: z.strictObject({ reason: z.string().max(500).default("") }) },
      response: enrolmentSchema,
      errors: ["not_found", "conflict"],
      handle: async ({ params, body, by, scope }) => ({
        body: toEnrolment(
          await enrolments.deny(params.enrolment, body.reason || "denied by an operator", { ...by, scope }),
        ),
      }),
    }),
  ];
}
