import { CodedError, type Clock } from "@fairlead/kernel";
import { sessionSchema, type HttpErrorCode } from "@fairlead/protocol";
import type { SessionRow, Store } from "@fairlead/store";
import {
  createSessionSecret,
  readSessionSecret,
  toCsrfToken,
  toSessionHash,
  toSetCookie,
} from "../../authority/browser-session.ts";
import { toScopeText } from "../../authority/scope.ts";
import type { AuditLog } from "../../context.ts";
import { defineRoute, type AnyRoute, type Caller } from "../route.ts";

/** A working day; whatever ends earlier ends it earlier. */
const lifeMs = 8 * 3_600_000;
/** Of one token or person; the oldest ends when another one begins. */
const maxSessions = 20;

export interface SessionRouteOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly audit: AuditLog;
}

type Known = Extract<Caller, { readonly kind: "token" | "oidc" }>;

function requireKnown(caller: Caller): Known {
  if (caller.kind === "token" || caller.kind === "oidc") return caller;
  throw new CodedError<HttpErrorCode>("forbidden", "only tokens and people have sessions");
}

function toOwner(caller: Known): Pick<SessionRow, "tokenId" | "person"> {
  if (caller.kind === "token") return { tokenId: caller.tokenId, person: null };
  const { role, scope, issuer, subject } = caller;
  return { tokenId: null, person: { role, selector: toScopeText(scope), issuer, subject } };
}

/** The session that the request came with; a bearer token beside it makes it one without. */
function readSecret(headers: Headers): string | undefined {
  return headers.has("authorization") ? undefined : readSessionSecret(headers.get("cookie"));
}

/** A browser's own session: it trades a token once for a cookie that no script can read. */
export function createSessionRoutes({ store, clock, audit }: SessionRouteOptions): readonly AnyRoute[] {
  const path = "/api/v1/session";
  return [
    defineRoute({
      ...{ method: "POST", path, permission: "read", reach: "shared" },
      summary: "Begin a session of a browser: needs a bearer token, answers with a cookie",
      request: {},
      response: sessionSchema,
      errors: ["conflict"],
      audit: ["session.create"],
      // A kept answer would keep what vouches for the session.
      idempotent: false,
      handle: async ({ caller, scope, actor, by, headers }) => {
        const known = requireKnown(caller);
        // A session that begins another one would never end.
        if (!headers.has("authorization"))
          throw new CodedError<HttpErrorCode>("conflict", "a session is begun with a token, not with a session", {
            hint: "send Authorization: Bearer …",
          });
        const secret = createSessionSecret();
        const createdAtMs = clock.nowMs();
        const endMs = known.kind === "oidc" ? known.expiresAtMs : Infinity;
        const expiresAtMs = Math.min(createdAtMs + lifeMs, endMs);
        await store.transaction(async (tx) => {
          await tx.sessions.removeExpired(createdAtMs);
          const others = await tx.sessions.listOf(actor);
          const ended = others.slice(0, Math.max(0, others.length - maxSessions + 1));
          await tx.sessions.remove(ended.map((row) => row.sessionHash));
          await tx.sessions.add({
            sessionHash: toSessionHash(secret),
            actor,
            ...toOwner(known),
            createdAtMs,
            expiresAtMs,
          });
          const change = {
            before: { sessions: others.length },
            after: { sessions: others.length - ended.length + 1, expiresAtMs },
          };
          await audit.append(tx, { ...by, action: "session.create", subject: actor, reason: "signed in", change });
        });
        const { role } = known;
        return {
          status: 201,
          body: { actor, role, selector: toScopeText(scope), expiresAtMs, csrfToken: toCsrfToken(secret) },
          headers: { "set-cookie": toSetCookie(secret, Math.ceil((expiresAtMs - createdAtMs) / 1_000)) },
        };
      },
    }),
    defineRoute({
      ...{ method: "GET", path, permission: "read", reach: "shared" },
      summary: "Who calls, and until when",
      request: {},
      response: sessionSchema,
      handle: async ({ caller, scope, actor, headers }) => {
        const secret = readSecret(headers);
        const row = secret === undefined ? undefined : await store.read.sessions.get(toSessionHash(secret));
        return {
          body: {
            ...{ actor, role: requireKnown(caller).role, selector: toScopeText(scope) },
            expiresAtMs: row?.expiresAtMs ?? null,
            csrfToken: secret === undefined ? null : toCsrfToken(secret),
          },
        };
      },
    }),
    defineRoute({
      ...{ method: "DELETE", path, permission: "read", reach: "shared" },
      summary: "End the session with whose cookie this is asked",
      request: {},
      response: null,
      errors: ["not_found"],
      audit: ["session.end"],
      idempotent: false,
      handle: async ({ by, headers }) => {
        const secret = readSecret(headers);
        if (secret === undefined)
          throw new CodedError<HttpErrorCode>("not_found", "there is no session to end", {
            hint: "it is named by its cookie, and not beside a bearer token",
          });
        await store.transaction(async (tx) => {
          const row = await tx.sessions.get(toSessionHash(secret));
          await tx.sessions.remove([toSessionHash(secret)]);
          const change = { before: { expiresAtMs: row?.expiresAtMs ?? null }, after: null };
          await audit.append(tx, { ...by, action: "session.end", subject: by.actor, reason: "signed out", change });
        });
        return { status: 204, body: null as never, headers: { "set-cookie": toSetCookie("", 0) } };
      },
    }),
  ];
}
