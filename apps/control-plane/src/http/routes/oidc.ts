import { CodedError } from "@fairlead/kernel";
import { oidcSettingsSchema, type HttpErrorCode } from "@fairlead/protocol";
import type { OidcConfig } from "../../authority/oidc/config.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

/** What a client must know to let somebody sign in; none of it is a secret. */
export function createOidcRoutes(config: OidcConfig | undefined): readonly AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/oidc",
      summary: "Where people sign in: the issuer, and by which name the command line is known there",
      permission: "public",
      request: {},
      response: oidcSettingsSchema,
      errors: ["not_found"],
      handle: async () => {
        if (config === undefined)
          throw new CodedError<HttpErrorCode>("not_found", "this plane knows no issuer of identities", {
            hint: "use a token of the plane, or start it with --oidc FILE",
          });
        const { issuer, clientId, scopes, audience } = config;
        const tokenUse = audience === clientId ? ("id_token" as const) : ("access_token" as const);
        return { body: { issuer, clientId, scopes, tokenUse } };
      },
    }),
  ];
}
