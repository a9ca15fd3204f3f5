import type { Role } from "@fairlead/protocol";
import { parseScope, wholeFleet, type Scope } from "../scope.ts";
import type { OidcConfig } from "./config.ts";

/** What somebody may: a role, and where. */
export interface Grant {
  readonly role: Role;
  readonly scope: Scope;
}

type Claims = Readonly<Record<string, unknown>>;

/** The texts of a claim: one, or those of a list; nothing else counts. */
function readClaim(claims: Claims, path: readonly string[]): readonly string[] {
  let found: unknown = claims;
  for (const name of path)
    found =
      typeof found === "object" && found !== null && Object.hasOwn(found, name) ? (found as Claims)[name] : undefined;
  const list: readonly unknown[] = Array.isArray(found) ? found : [found];
  return list.filter((value): value is string => typeof value === "string");
}

/** null: the claims give nothing here. The order of the configuration decides, never that of the token. */
export function toGrant(config: Pick<OidcConfig, "roles" | "selectors">, claims: Claims): Grant | null {
  const held = readClaim(claims, config.roles.claim);
  const role = config.roles.values.find(({ value }) => held.includes(value))?.role;
  if (role === undefined) return null;
  if (config.selectors === undefined) return { role, scope: wholeFleet };
  const places = readClaim(claims, config.selectors.claim);
  const place = config.selectors.values.find(({ value }) => places.includes(value));
  if (place === undefined) return null;
  return { role, scope: "selector" in place ? parseScope(place.selector) : wholeFleet };
}
