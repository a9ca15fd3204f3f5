import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import { parsePeerIdentity } from "@fairlead/bus/broker";
import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import { isTokenShaped, toTokenHash } from "../../authority/tokens.ts";
import type { Caller, Permission } from "../route.ts";

export interface AuthenticateOptions {
  readonly store: Store;
  readonly tenant: string;
  /** Is this certificate of this device in force? */
  readonly isInForce: (device: string, fingerprint: string) => Promise<boolean>;
}

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}

/** The look-up is by hash: its time tells nothing about the token. @throws CodedError `unauthenticated` */
async function authenticateAdmin(store: Store, authorization: string): Promise<Caller> {
  const token = /^Bearer ([^\s]{1,512})$/u.exec(authorization)?.[1] ?? "";
  const known = isTokenShaped(token) ? await store.read.adminTokens.findByHash(toTokenHash(token)) : undefined;
  if (known !== undefined) return { kind: "admin", tokenId: known.tokenId };
  return refuse(
    "unauthenticated",
    "the token is not valid here",
    "use the administrator token that this plane printed; --new-admin-token prints another",
  );
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
    return { kind: "device", device: identity.device };
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
      : await authenticateAdmin(options.store, request.authorization);
  if (caller === undefined) {
    return refuse("unauthenticated", "no credentials", "send the administrator token as: Authorization: Bearer fla_…");
  }
  if (permission !== "admin-or-device" && permission !== caller.kind) {
    return refuse("forbidden", `this is not for a ${caller.kind}`, `call it as ${permission}`);
  }
  return caller;
}

export function toActor(caller: Caller): string {
  switch (caller.kind) {
    case "admin":
      return `admin:${caller.tokenId}`;
    case "device":
      return `device:${caller.device}`;
    case "anonymous":
      return "anonymous";
  }
}
