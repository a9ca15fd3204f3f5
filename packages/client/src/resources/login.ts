import { oidcSettingsSchema, type OidcSettings } from "@fairlead/protocol";
import type { Transport } from "../transport.ts";

export interface LoginClient {
  /** Where people sign in; needs no token. @throws ClientError `not_found` when the plane knows no issuer */
  readSettings(): Promise<OidcSettings>;
}

export function createLoginClient(transport: Transport): LoginClient {
  return { readSettings: () => transport.read(oidcSettingsSchema, { method: "GET", path: ["oidc"] }) };
}
