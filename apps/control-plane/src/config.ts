import { hostname } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseNetwork, type Network } from "@fairlead/egress";
import { CodedError } from "@fairlead/kernel";
import { tenantSchema } from "@fairlead/protocol";
import * as z from "zod";
import { knownDomains, type OperatorPolicy } from "@fairlead/inference/inspect";
import type { WebhookConfig } from "./webhooks/module.ts";

const port = z.coerce.number().int().min(0).max(65_535);
const host = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$|^[0-9a-fA-F:]{2,39}$/u, "not a host name or address");

/** "a,b": names without the commas between them; nothing for none. */
const list = (item: z.ZodType<string, string>) =>
  z
    .string()
    .max(4_096)
    .transform((text) => text.split(",").filter((name) => name !== ""))
    .pipe(z.array(item).max(256));
const networks = z
  .string()
  .max(4_096)
  .transform((text, issues) =>
    text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== "")
      .flatMap((part) => {
        const network = parseNetwork(part);
        if (network !== null) return [network];
        issues.addIssue(`"${part}" is no network that may be listed: write 10.1.0.0/16 or one address`);
        return [];
      }),
  );

const unitDays = { s: 1 / 86_400, m: 1 / 1_440, h: 1 / 24, d: 1 } as const;
/** Whole days, or a whole number of seconds, minutes, hours or days with its letter. */
const lifeDays = z
  .string()
  .regex(/^[1-9]\d{0,6}[smhd]?$/u, "not a number of days, nor a number with s, m, h or d")
  .transform(
    (text) => Number.parseInt(text, 10) * unitDays[(/[smh]$/u.exec(text)?.[0] as "s" | "m" | "h" | undefined) ?? "d"],
  )
  .refine((days) => days <= 3_650, "longer than 3,650 days");

const configSchema = z.strictObject({
  data: z.string().min(1).max(4_096).default(".fairlead/plane"),
  "http-port": port.default(8_443),
  "mqtt-port": port.default(8_883),
  host: host.default("127.0.0.1"),
  "public-host": host.default("localhost"),
  tenant: tenantSchema.default("default"),
  "device-cert-ttl": lifeDays.default(365),
  "session-cert-ttl": z.coerce.number().int().min(1).max(720).default(24),
  "ek-ca": z.string().max(4_096).optional(),
  "offline-after": z.coerce.number().int().min(1).max(86_400).default(60),
  "keep-telemetry": z.coerce.number().int().min(1).max(3_650).default(30),
  "models-allow-domains": list(z.enum(knownDomains)).default([...knownDomains]),
  "models-deny-operators": list(z.string().regex(/^(?:[a-z.]{1,64}::)?[A-Za-z0-9]{1,64}$/u, "not an operator")).default(
    [],
  ),
  "webhook-networks": networks.default([]),
  "webhook-plain-http": z.boolean().default(false),
  "webhook-give-up": z.coerce
    .number()
    .int()
    .min(1)
    .max(7 * 86_400)
    .default(86_400),
  "trusted-proxies": networks.default([]),
  "requests-per-minute": z.coerce.number().int().min(10).max(1_000_000).default(6_000),
  "log-level": z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  oidc: z.string().min(1).max(4_096).optional(),
  "four-eyes": z.boolean().default(false),
  "new-admin-token": z.boolean().default(false),
  "json-ready": z.boolean().default(false),
});

export interface PlaneConfig {
  readonly dataFolder: string;
  readonly httpPort: number;
  readonly mqttPort: number;
  readonly host: string;
  readonly publicHost: string;
  readonly hostName: string;
  readonly tenant: string;
  readonly deviceCertificateDays: number;
  /** Of devices whose key is in a TPM. */
  readonly sessionHours: number;
  /** PEM file of the certificates of TPM makers whose endorsement keys may ask to enrol; null: none. */
  readonly endorsementCaFile: string | null;
  readonly offlineAfterMs: number;
  readonly keepTelemetryMs: number;
  /** File that says who signs people in; undefined: nobody does. */
  readonly oidcFile: string | undefined;
  readonly webhooks: WebhookConfig;
  /** Whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly Network[];
  /** Of one caller of the API: a token, a person, a device or an address; ten times as many for ranges of artifacts. */
  readonly requestsPerMinute: number;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  /** Which operators the models of this plane may use. */
  readonly models: OperatorPolicy;
  readonly fourEyes: boolean;
  readonly newAdminToken: boolean;
  readonly jsonReady: boolean;
}

const isLoopback = (name: string): boolean =>
  /^(?:(?:.*\.)?localhost|127(?:\.\d{1,3}){3}|::1|0:0:0:0:0:0:0:1)$/iu.test(name);

/** Why nobody reaches the plane under the name that it gives to devices; null when that may work. */
export function toReachWarning({ host: address, publicHost }: Pick<PlaneConfig, "host" | "publicHost">): string | null {
  if (!isLoopback(address) || isLoopback(publicHost)) return null;
  return `the plane listens on ${address} alone, so devices that are told ${publicHost} do not reach it, unless something on this machine forwards to it; --host 0.0.0.0 listens on every address`;
}

export const usage = `usage: npm run plane -- [options]      (environment in parentheses)
  --data DIR               data folder (FAIRLEAD_DATA), default .fairlead/plane
  --http-port PORT         REST API and status page (FAIRLEAD_HTTP_PORT), default 8443; 0 takes a free one
  --mqtt-port PORT         device link (FAIRLEAD_MQTT_PORT), default 8883; 0 takes a free one
  --host ADDRESS           address to listen on (FAIRLEAD_HOST), default 127.0.0.1
  --public-host NAME       name that devices use (FAIRLEAD_PUBLIC_HOST), default localhost
  --tenant NAME            (FAIRLEAD_TENANT), default "default"
  --device-cert-ttl LIFE   days, or a number with s, m, h or d (FAIRLEAD_DEVICE_CERT_TTL), default 365
  --session-cert-ttl HOURS (FAIRLEAD_SESSION_CERT_TTL) of devices whose key is in a TPM, default 24
  --ek-ca FILE             certificates (PEM) of TPM makers (FAIRLEAD_EK_CA): their TPMs may ask to enrol without a token
  --offline-after SECONDS  a device this long silent is offline (FAIRLEAD_OFFLINE_AFTER), default 60
  --keep-telemetry DAYS    (FAIRLEAD_KEEP_TELEMETRY), default 30
  --models-allow-domains A,B   domains of operators that models may use (FAIRLEAD_MODELS_ALLOW_DOMAINS),
                           default ai.onnx,ai.onnx.ml,com.microsoft
  --models-deny-operators A,B  operators that they may not use (FAIRLEAD_MODELS_DENY_OPERATORS): Loop,com.microsoft::QMoE
  --oidc FILE              who signs people in, and what they may (FAIRLEAD_OIDC); see the README of the control plane
  --webhook-networks LIST  networks beside the internet that webhooks may name, such as 10.1.0.0/16,192.168.7.5
                           (FAIRLEAD_WEBHOOK_NETWORKS), default none
  --webhook-plain-http     webhooks may name http:// as well
  --webhook-give-up SEC    how long one message is tried (FAIRLEAD_WEBHOOK_GIVE_UP), default 86400
  --trusted-proxies LIST   addresses of proxies whose X-Forwarded-For is believed (FAIRLEAD_TRUSTED_PROXIES), default none
  --requests-per-minute N  of one caller of the API, as many at once (FAIRLEAD_REQUESTS_PER_MINUTE), default 6000
  --log-level LEVEL        debug, info, warn, error, silent (FAIRLEAD_LOG_LEVEL), default info
  --four-eyes              a rollout waits until somebody else than its creator promotes it
  --new-admin-token        make and print one more administrator token
  --json-ready             print one JSON line with the ports once ready`;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const options = {
  data: text,
  "http-port": text,
  "mqtt-port": text,
  host: text,
  "public-host": text,
  tenant: text,
  "device-cert-ttl": text,
  "session-cert-ttl": text,
  "ek-ca": text,
  "offline-after": text,
  "keep-telemetry": text,
  "models-allow-domains": text,
  "models-deny-operators": text,
  oidc: text,
  "webhook-networks": text,
  "webhook-plain-http": flag,
  "webhook-give-up": text,
  "trusted-proxies": text,
  "requests-per-minute": text,
  "log-level": text,
  "four-eyes": flag,
  "new-admin-token": flag,
  "json-ready": flag,
} as const;

function parseArguments(args: readonly string[]): Record<string, unknown> {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values;
  } catch (error) {
    throw new CodedError("config_invalid", error instanceof Error ? error.message : String(error), { hint: usage });
  }
}

/** Arguments win over the environment. @throws CodedError `config_invalid` naming every bad option */
export function parseConfig(args: readonly string[], env: Readonly<Record<string, string | undefined>>): PlaneConfig {
  const fromEnv = Object.keys(options)
    .filter((name) => options[name as keyof typeof options].type === "string")
    .flatMap((name) => {
      const value = env[`FAIRLEAD_${name.toUpperCase().replaceAll("-", "_")}`];
      return value === undefined || value === "" ? [] : [[name, value] as const];
    });
  const parsed = configSchema.safeParse({ ...Object.fromEntries(fromEnv), ...parseArguments(args) });
  if (!parsed.success) {
    const bad = parsed.error.issues.map((issue) => `--${issue.path.join(".")}: ${issue.message}`);
    throw new CodedError("config_invalid", bad.join("; "), { hint: usage });
  }
  const value = parsed.data;
  return {
    dataFolder: resolve(value.data),
    httpPort: value["http-port"],
    mqttPort: value["mqtt-port"],
    host: value.host,
    publicHost: value["public-host"],
    hostName: hostname(),
    tenant: value.tenant,
    deviceCertificateDays: value["device-cert-ttl"],
    sessionHours: value["session-cert-ttl"],
    endorsementCaFile: value["ek-ca"] === undefined ? null : resolve(value["ek-ca"]),
    offlineAfterMs: value["offline-after"] * 1_000,
    keepTelemetryMs: value["keep-telemetry"] * 86_400_000,
    oidcFile: value.oidc === undefined ? undefined : resolve(value.oidc),
    webhooks: {
      networks: value["webhook-networks"],
      allowsPlainHttp: value["webhook-plain-http"],
      giveUpMs: value["webhook-give-up"] * 1_000,
    },
    trustedProxies: value["trusted-proxies"],
    requestsPerMinute: value["requests-per-minute"],
    logLevel: value["log-level"],
    models: { allowDomains: value["models-allow-domains"], denyOperators: value["models-deny-operators"] },
    fourEyes: value["four-eyes"],
    newAdminToken: value["new-admin-token"],
    jsonReady: value["json-ready"],
  };
}
