import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { parsePeerIdentity } from "@fairlead/bus/broker";
import { CodedError, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import { isTokenShaped, toTokenHash } from "../../authority/tokens.ts";
import type { DeviceConnections } from "../device-connections.ts";
import { mayCall } from "../roles.ts";
import type { Caller, Permission } from "../route.ts";

export interface AuthenticateOptions {
  readonly store: Store;
  readonly tenant: string;
  readonly clock: Clock;
  /** Is this certificate of this device in force? */
  readonly isInForce: (device: string, fingerprint: string) => Promise<boolean>;
  readonly connections: Pick<DeviceConnections, "note">;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}

/** The look-up is by hash: its time tells nothing about the token. @throws CodedError `unauthenticated` */
async function authenticateToken({ store, clock }: AuthenticateOptions, authorization: string): Promise<Caller> {
  const token = /^Bearer ([^\s]{1,512})$/u.exec(authorization)?.[1] ?? "";
  const known = isTokenShaped(token) ? await store.read.adminTokens.findByHash(toTokenHash(token)) : undefined;
  const hint = "use a token of this plane: fairlead tokens create; --new-admin-token prints an administrator's";
  if (known === undefined) return refuse("unauthenticated", "the token is not valid here", hint);
  if (known.revokedAtMs !== null) return refuse("unauthenticated", "the token was revoked", hint);
  // Written so that NaN refuses.
  const isInTime = known.expiresAtMs === null || clock.nowMs() < known.expiresAtMs;
  if (!isInTime) return refuse("unauthenticated", "the token has expired", hint);
  return { kind: "token", role: known.role, tokenId: known.tokenId };
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
  if (socket.authorized && tenant === options.tenant && (await options.isInForce(device, fingerprint))) {
    options.connections.note(device, fingerprint, socket);
    return { kind: "device", device };
  }
  return refuse("unauthenticated", "the device certificate is not in force", "enrol the device again");
}

/** Who calls, judged against what the route permits. @throws CodedError `unauthenticated` · `forbidden` */
export async function authenticate(
  options: AuthenticateOptions,
  permission: Permission,
  request: { readonly incoming: IncomingMessage; readonly authorization: string | undefined },
): Promise<Caller> {
  if (permission === "public") return { kind: "anonymous" };
  const caller =
    request.authorization === undefined
      ? await authenticateDevice(options, request.incoming)
      : await authenticateToken(options, request.authorization);
  if (caller === undefined) {
    return refuse("unauthenticated", "no credentials", "send a token as: Authorization: Bearer fla_…");
  }
  const isAdmitted =
    caller.kind === "token"
      ? mayCall(caller.role, permission)
      : permission === "device" || permission === "read-or-device";
  if (isAdmitted) return caller;
  const who = caller.kind === "token" ? caller.role : caller.kind;
  throw new CodedError<HttpErrorCode>("forbidden", `a ${who} may not do this: it needs the permission ${permission}`, {
    hint: "ask an administrator for a token of a role that has it: fairlead tokens create --role ROLE",
    details: { actor: toActor(caller) },
  });
}

export function toActor(caller: Caller): string {
  switch (caller.kind) {
    case "token":
      return `${caller.role}:${caller.tokenId}`;
    case "device":
      return `device:${caller.device}`;
    case "anonymous":
      return "anonymous";
  }
}
