import { CodedError, type Clock } from "@fairlead/kernel";
import {
  apiTokenSchema,
  createApiTokenRequestSchema,
  createApiTokenResponseSchema,
  idSchema,
  listQuerySchema,
  toListSchema,
  type HttpErrorCode,
} from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import { findPerson } from "../../authority/person.ts";
import { createToken, toTokenHash } from "../../authority/tokens.ts";
import type { AuditLog } from "../../context.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export interface TokenRouteOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
  readonly createId: (prefix: string) => string;
  readonly fingerprint: string;
}

/** Tokens with which people and machines call the API. Only their hashes are kept. */
export function createTokenRoutes(options: TokenRouteOptions): readonly AnyRoute[] {
  const { store, clock, audit } = options;
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/tokens",
      summary: "Make a token of one role; it is shown once",
      permission: "administer",
      audit: ["token.create"],
      request: { body: createApiTokenRequestSchema },
      response: createApiTokenResponseSchema,
      // A kept answer would keep the secret.
      idempotent: false,
      handle: async ({ body: { role, selector, description, ttlMs, person: named }, actor, by }) => {
        const token = createToken("fla", options.fingerprint);
        const tokenId = options.createId("adm");
        const createdAtMs = clock.nowMs();
        const expiresAtMs = createdAtMs + ttlMs;
        const person = await store.transaction(async (tx) => {
          const has = named ?? (await findPerson(tx, actor));
          if (has === undefined) throw new CodedError<HttpErrorCode>("unauthenticated", "the token is not valid here");
          const row = {
            tokenId,
            hash: toTokenHash(token),
            description,
            role,
            selector,
            person: has,
            createdAtMs,
            expiresAtMs,
            revokedAtMs: null,
          };
          await tx.adminTokens.add(row);
          const change = { before: null, after: { role, selector, person: has, description, expiresAtMs } };
          await audit.append(tx, { ...by, action: "token.create", subject: tokenId, reason: "asked for", change });
          return has;
        });
        return { status: 201, body: { tokenId, token, role, selector, person, expiresAtMs } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/tokens",
      summary: "List the tokens, without their secrets",
      permission: "administer",
      request: { query: listQuerySchema },
      response: toListSchema(apiTokenSchema),
      handle: async () => ({ body: { items: await store.read.adminTokens.list(), nextCursor: null } }),
    }),
    defineRoute({
      method: "DELETE",
      path: "/api/v1/tokens/:token",
      summary: "Revoke a token; it ends with its next request",
      permission: "administer",
      audit: ["token.revoke"],
      request: { params: z.strictObject({ token: idSchema }) },
      response: null,
      errors: ["not_found", "conflict"],
      handle: async ({ params, by }) => {
        const nowMs = clock.nowMs();
        await store.transaction(async (tx) => {
          const rows = await tx.adminTokens.list();
          const row = rows.find(({ tokenId }) => tokenId === params.token);
          if (row === undefined) throw new CodedError<HttpErrorCode>("not_found", `no token is named ${params.token}`);
          const isInForce = (other: typeof row) =>
            other.revokedAtMs === null && (other.expiresAtMs === null || nowMs < other.expiresAtMs);
          // An administrator of a part cannot make tokens, so it saves nobody from being locked out.
          const isChief = (other: typeof row) => other.role === "admin" && other.selector === null;
          const others = rows.filter((other) => other !== row && isChief(other) && isInForce(other));
          if (isChief(row) && others.length === 0)
            throw new CodedError<HttpErrorCode>("conflict", "this is the last administrator's token", {
              hint: "make another one first: fairlead tokens create --role admin",
            });
          await tx.adminTokens.revoke(row.tokenId, nowMs);
          const change = { before: { revokedAtMs: row.revokedAtMs }, after: { revokedAtMs: nowMs } };
          await audit.append(tx, { ...by, action: "token.revoke", subject: row.tokenId, reason: "asked for", change });
        });
        return { status: 204, body: null as never };
      },
    }),
  ];
}
