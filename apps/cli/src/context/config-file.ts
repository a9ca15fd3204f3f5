import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { hasErrorCode } from "@fairlead/kernel";
import { parse, stringify } from "yaml";
import * as z from "zod";
import { CliError } from "../errors.ts";

export const contextNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u);
export const serverSchema = z
  .url({ protocol: /^https?$/u })
  .max(2_048)
  .transform((text) => text.replace(/\/+$/u, ""));

/** How a person signed in, for the next token. */
const loginSchema = z.strictObject({
  issuer: z.string().max(512),
  clientId: z.string().max(256),
  tokenUse: z.enum(["id_token", "access_token"]),
  /** When the context's token ends. */
  expiresAtMs: z.number().positive(),
  refreshToken: z.string().max(16_384).optional(),
  /** PEM; without one, the system's authorities. */
  issuerCa: z.string().max(65_536).optional(),
});

const contextSchema = z.strictObject({
  server: serverSchema,
  token: z.string().max(16_384).optional(),
  login: loginSchema.optional(),
  /** The plane's certificate authority, PEM: nothing else is trusted for this context. */
  ca: z.string().max(65_536).optional(),
});
const configSchema = z.strictObject({
  current: contextNameSchema.nullable().default(null),
  contexts: z.record(contextNameSchema, contextSchema).default({}),
});

export type Context = z.infer<typeof contextSchema>;
export type Config = z.infer<typeof configSchema>;

/** `$FAIRLEAD_CONFIG`, or `fairlead/config.yaml` in the XDG configuration folder. */
export function toConfigPath(env: Readonly<Record<string, string | undefined>>): string {
  if (env["FAIRLEAD_CONFIG"]) return env["FAIRLEAD_CONFIG"];
  return join(env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "fairlead", "config.yaml");
}

/** Refuses a file that others may read: it holds tokens. */
export function loadConfig(path: string): Config {
  let text: string;
  try {
    const mode = statSync(path).mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw new CliError("config_exposed", `${path} can be read or written by others (mode ${mode.toString(8)})`, {
        hint: `it holds tokens: chmod 600 ${path}`,
      });
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (hasErrorCode(error, "ENOENT")) return { current: null, contexts: {} };
    if (error instanceof CliError) throw error;
    throw new CliError("file_unreadable", `cannot read ${path}`, { cause: error });
  }
  const parsed = configSchema.safeParse(toValue(text, path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new CliError("config_invalid", `${path}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not valid"}`, {
    hint: "correct the file, or move it away and add your contexts again",
  });
}

function toValue(text: string, path: string): unknown {
  try {
    return parse(text) ?? {};
  } catch (error) {
    throw new CliError("config_invalid", `${path} is not YAML`, {
      cause: error,
      hint: "correct the file or move it away",
    });
  }
}

/** Writes beside the file and renames, so that no reader sees half of it and no mode is wider than 0600 at any time. */
export function saveConfig(path: string, config: Config): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const next = `${path}.${process.pid}.tmp`;
  writeFileSync(next, stringify(config), { mode: 0o600 });
  chmodSync(next, 0o600);
  renameSync(next, path);
}
