import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { roleSchema, selectorSchema } from "@fairlead/protocol";
import { parse } from "yaml";
import * as z from "zod";

const loopback = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Encrypted, or on this machine: what comes from it decides who may do what. */
export function isTrustedTransport(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.username !== "" || url.password !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && loopback.has(url.hostname));
}

/** OpenID Connect Core §2: without query and fragment, so that `<issuer>#<subject>` names one person only. */
const issuerSchema = z
  .string()
  .max(512)
  .regex(/^[^?#\s]+$/u, "an issuer has no query and no fragment")
  .refine(isTrustedTransport, "an issuer is reached by https (http only on this machine)");
const printable = z
  .string()
  .max(256)
  .regex(/^[\x21-\x7e]+$/u, "printable characters without spaces");
/** `groups`, or the way into nested claims: `[realm_access, roles]`. */
const claimSchema = z.union([
  z
    .string()
    .min(1)
    .max(256)
    .transform((name) => [name]),
  z.array(z.string().min(1).max(256)).min(1).max(4),
]);
const value = z.string().min(1).max(256);

const oidcConfigSchema = z
  .strictObject({
    issuer: issuerSchema,
    /** By which this plane's command line is known to the issuer: a public client with the device grant. */
    clientId: printable,
    /** What `aud` must name; without one the client itself, whose ID tokens are then what people send. */
    audience: printable.optional(),
    scopes: z.array(printable).max(16).default(["openid", "offline_access"]),
    clockToleranceS: z.int().min(0).max(300).default(30),
    /** PEM of the authority that the issuer's certificate must come from; without one, those of the system. */
    caFile: z.string().min(1).max(4_096).optional(),
    /** The first value that the claim holds decides. Somebody without one of them has no role. */
    roles: z.strictObject({
      claim: claimSchema,
      values: z
        .array(z.strictObject({ value, role: roleSchema }))
        .min(1)
        .max(64),
    }),
    /** Left out: everybody reaches the whole fleet. Given: somebody without one of these values reaches nothing. */
    selectors: z
      .strictObject({
        claim: claimSchema,
        values: z
          .array(
            z.union([
              z.strictObject({ value, selector: selectorSchema.refine((text) => text.trim() !== "", "name a part") }),
              z.strictObject({ value, wholeFleet: z.literal(true) }),
            ]),
          )
          .min(1)
          .max(64),
      })
      .optional(),
  })
  .transform((config) => ({ ...config, audience: config.audience ?? config.clientId }));

export type OidcConfig = z.output<typeof oidcConfigSchema>;
export interface LoadedOidcConfig extends OidcConfig {
  /** PEM; undefined: the system's authorities. */
  readonly ca: string | undefined;
}

/** @throws CodedError `config_invalid` naming every bad field */
export function parseOidcConfig(text: string): OidcConfig {
  const parsed = oidcConfigSchema.safeParse(parse(text));
  if (parsed.success) return parsed.data;
  const bad = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
  throw new CodedError("config_invalid", bad.join("; "));
}

/** Read once, at the start. A path in it is relative to the file. @throws CodedError `config_invalid` */
export function loadOidcConfig(path: string): LoadedOidcConfig {
  try {
    const config = parseOidcConfig(readFileSync(path, "utf8"));
    const { caFile } = config;
    return { ...config, ca: caFile === undefined ? undefined : readFileSync(resolve(dirname(path), caFile), "utf8") };
  } catch (error) {
    throw new CodedError("config_invalid", `--oidc ${path}: ${toErrorMessage(error)}`, {
      cause: error,
      hint: "apps/control-plane/README.md shows such a file",
    });
  }
}
