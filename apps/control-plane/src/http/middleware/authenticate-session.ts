import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { AdminToken, SessionRow, Store } from "@fairlead/store";
import { toSessionHash, whyForeign } from "../../authority/browser-session.ts";
import { parseScope } from "../../authority/scope.ts";
import type { Caller } from "../route.ts";

export interface SessionRequest {
  readonly method: string;
  readonly headers: Headers;
}

const hint = "sign in again";

function toPersonCaller({ person, expiresAtMs }: SessionRow): Caller | undefined {
  if (person === null) return undefined;
  const { role, selector, issuer, subject } = person;
  return { kind: "oidc", role, scope: parseScope(selector), issuer, subject, expiresAtMs };
}

/**
 * Whom the cookie stands for now: a session ends with its token. Then whether a page of the plane asks.
 * @throws CodedError `unauthenticated` · `forbidden`
 */
export async function authenticateSession(
  {
    store,
    clock,
    toTokenCaller,
  }: {
    readonly store: Store;
    readonly clock: Clock;
    readonly toTokenCaller: (token: AdminToken | undefined) => Caller;
  },
  secret: string,
  { method, headers }: SessionRequest,
): Promise<Caller> {
  const row = await store.read.sessions.get(toSessionHash(secret));
  // Written so that NaN refuses.
  const isInTime = row !== undefined && clock.nowMs() < row.expiresAtMs;
  if (!isInTime) throw new CodedError<HttpErrorCode>("unauthenticated", "the session has ended", { hint });
  const caller =
    row.tokenId === null ? toPersonCaller(row) : toTokenCaller(await store.read.adminTokens.get(row.tokenId));
  if (caller === undefined) throw new CodedError<HttpErrorCode>("unauthenticated", "the session is nobody's", { hint });
  const why = whyForeign(
    {
      method,
      host: headers.get("host"),
      origin: headers.get("origin"),
      fetchSite: headers.get("sec-fetch-site"),
      csrfToken: headers.get("x-csrf-token"),
    },
    secret,
  );
  if (why === null) return caller;
  throw new CodedError<HttpErrorCode>("forbidden", `a session's cookie does not suffice here: ${why}`, {
    hint: "ask from a page of the plane, or send a token: Authorization: Bearer …",
    details: { actor: row.actor },
  });
}
