import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { parsePeerIdentity } from "@fairlead/bus/broker";
import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { AdminToken, Store } from "@fairlead/store";
import { readSessionSecret } from "../../authority/browser-session.ts";
import { isJwtShaped, type VerifyToken } from "../../authority/oidc/verify-token.ts";
import { unknownAddress } from "../../audit/own-decision.ts";
import { noScope, parseScope, type Scope } from "../../authority/scope.ts";
import { isTokenShaped, toTokenHash } from "../../authority/tokens.ts";
import { authenticateSession, type SessionRequest } from "./authenticate-session.ts";
import type { DeviceConnections } from "../device-connections.ts";
import { mayCall } from "../roles.ts";
import type { AnyRoute, Caller } from "../route.ts";

export interface AuthenticateOptions {
  readonly store: Store;
  readonly tenant: string;
  readonly clock: Clock;
  /** Is this certificate of this device in force? */
  readonly isInForce: (device: string, fingerprint: string, fromAddress: string) => Promise<boolean>;
  /** Judges tokens of the issuer; undefined when there is none. */
  readonly verifyToken: VerifyToken | undefined;
  readonly connections: Pick<DeviceConnections, "note">;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}

/** @throws CodedError `unauthenticated` · `forbidden` · `unavailable` */
async function authenticateBearer(options: AuthenticateOptions, authorization: string): Promise<Caller> {
  const token = authorization.startsWith("Bearer ") ? authorization.slice("Bearer ".length) : "";
  if (options.verifyToken !== undefined && isJwtShaped(token))
    return { kind: "oidc", ...(await options.verifyToken(token)) };
  return await authenticateToken(options, token);
}

/** The look-up is by hash: its time tells nothing about the token. @throws CodedError `unauthenticated` */
async function authenticateToken({ store, clock }: AuthenticateOptions, token: string): Promise<Caller> {
  const known = isTokenShaped(token) ? await store.read.adminTokens.findByHash(toTokenHash(token)) : undefined;
  return toTokenCaller(known, clock.nowMs());
}

/** @throws CodedError `unauthenticated` */
function toTokenCaller(known: AdminToken | undefined, nowMs: number): Caller {
  const hint = "use a token of this plane: fairlead tokens create; --new-admin-token prints an administrator's";
  if (known === undefined) return refuse("unauthenticated", "the token is not valid here", hint);
  if (known.revokedAtMs !== null) return refuse("unauthenticated", "the token was revoked", hint);
  // Written so that NaN refuses.
  const isInTime = known.expiresAtMs === null || nowMs < known.expiresAtMs;
  if (!isInTime) return refuse("unauthenticated", "the token has expired", hint);
  return { kind: "token", role: known.role, tokenId: known.tokenId, scope: parseScope(known.selector) };
}

async function authenticateDevice(
  options: AuthenticateOptions,
  incoming: IncomingMessage,
): Promise<Caller | undefined> {
  const { socket } = incoming;
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerCertificate();
  const identity = parsePeerIdentity(certificate);
  if (identity === undefined) return undefined;
  const { device, tenant, fingerprint } = identity;
  if (socket.authorized && tenant === options.tenant) {
    // Before the question, so that a revocation that comes while it is asked ends this connection too.
    options.connections.note(identity, socket);
    if (await options.isInForce(device, fingerprint, socket.remoteAddress ?? unknownAddress))
      return { kind: "device", device };
  }
  return refuse("unauthenticated", "the device certificate is not in force", "enrol the device again");
}

export interface CallerRequest extends SessionRequest {
  readonly incoming: IncomingMessage;
}

/** undefined: there is no cookie of ours. */
async function authenticateCookie(options: AuthenticateOptions, request: CallerRequest): Promise<Caller | undefined> {
  const secret = readSessionSecret(request.headers.get("cookie"));
  if (secret === undefined) return undefined;
  const { store, clock } = options;
  const judge = (token: AdminToken | undefined) => toTokenCaller(token, clock.nowMs());
  return await authenticateSession({ store, clock, toTokenCaller: judge }, secret, request);
}

/** Who calls, judged against what the route permits. @throws CodedError `unauthenticated` · `forbidden` */
export async function authenticate(
  options: AuthenticateOptions,
  { permission, reach }: Pick<AnyRoute, "permission" | "reach">,
  request: CallerRequest,
): Promise<Caller> {
  if (permission === "public") return { kind: "anonymous" };
  const authorization = request.headers.get("authorization");
  const caller =
    authorization === null
      ? ((permission === "device" ? undefined : await authenticateCookie(options, request)) ??
        (await authenticateDevice(options, request.incoming)))
      : await authenticateBearer(options, authorization);
  if (caller === undefined) {
    return refuse("unauthenticated", "no credentials", "send a token as: Authorization: Bearer fla_…");
  }
  const isAdmitted =
    caller.kind === "token" || caller.kind === "oidc"
      ? mayCall(caller.role, permission)
      : permission === "device" || permission === "read-or-device";
  if (isAdmitted && reach === undefined && toScope(caller).kind === "part")
    throw new CodedError<HttpErrorCode>(
      "forbidden",
      "this is about the whole fleet, and your token reaches a part of it",
      {
        hint: "ask an administrator for a token without a selector",
        details: { actor: toActor(caller) },
      },
    );
  if (isAdmitted) return caller;
  const who = "role" in caller ? caller.role : caller.kind;
  throw new CodedError<HttpErrorCode>("forbidden", `a ${who} may not do this: it needs the permission ${permission}`, {
    hint: "ask an administrator for a token of a role that has it: fairlead tokens create --role ROLE",
    details: { actor: toActor(caller) },
  });
}

export function toScope(caller: Caller): Scope {
  return "scope" in caller ? caller.scope : noScope;
}

export function toActor(caller: Caller): string {
  switch (caller.kind) {
    case "token":
      return `${caller.role}:${caller.tokenId}`;
    case "oidc":
      return `oidc:${caller.issuer}#${caller.subject}`;
    case "device":
      return `device:${caller.device}`;
    case "anonymous":
      return "anonymous";
  }
}
