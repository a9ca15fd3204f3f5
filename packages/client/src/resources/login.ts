import { oidcSettingsSchema, sessionSchema, type OidcSettings, type Session } from "@fairlead/protocol";
import type { Transport } from "../transport.ts";

export interface LoginClient {
  /** Where people sign in; needs no token. @throws ClientError `not_found` when the plane knows no issuer */
  readSettings(): Promise<OidcSettings>;
  /** Whose token this is, and which part of the fleet it reaches. */
  whoami(): Promise<Session>;
}

export function createLoginClient(transport: Transport): LoginClient {
  return {
    readSettings: () => transport.read(oidcSettingsSchema, { method: "GET", path: ["oidc"] }),
    whoami: () => transport.read(sessionSchema, { method: "GET", path: ["session"] }),
  };
}
