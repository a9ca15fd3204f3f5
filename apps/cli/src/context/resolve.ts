import { readFileSync, statSync } from "node:fs";
import { CliError, toUsageError } from "../errors.ts";
import { suggestName } from "../suggest.ts";
import { loadConfig, serverSchema, toConfigPath, type Context } from "./config-file.ts";
import { fetchPinnedCa } from "./connection.ts";
import { refreshContext } from "../login/refresh.ts";
import { parseToken } from "./token.ts";

export interface Target {
  readonly server: string;
  readonly token: string | undefined;
  readonly ca: string | undefined;
}

export interface ResolveOptions {
  readonly flags: {
    readonly context?: string;
    readonly server?: string;
    readonly token?: string;
    readonly tokenFile?: string;
    readonly ca?: string;
  };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  readonly nowMs: () => number;
}

export function parseServer(text: string): string {
  const parsed = serverSchema.safeParse(text);
  if (!parsed.success) throw toUsageError(`"${text}" is not a server address`, "write https://host:port");
  return parsed.data;
}

/** A token over plain HTTP is only for this machine. */
export function requireSafeTransport(server: string): void {
  const url = new URL(server);
  if (url.protocol === "https:" || ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)) return;
  throw toUsageError(`${server} is not encrypted: a token is not sent there`, "use https://");
}

export function readCaFile(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new CliError("file_unreadable", `cannot read the CA file ${path}`, { cause: error });
  }
}

/** A token that is not in the process list, nor in the shell's history. */
function readTokenFile(path: string): string {
  const isInput = path === "-";
  try {
    const mode = isInput ? 0 : statSync(path).mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw new CliError("config_exposed", `${path} can be read or written by others (mode ${mode.toString(8)})`, {
        hint: `it holds a token: chmod 600 ${path}`,
      });
    return readFileSync(isInput ? 0 : path, "utf8").trim();
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("file_unreadable", `cannot read the token file ${path}`, { cause: error });
  }
}

/** Whether the token comes from elsewhere than the context. */
const hasOwnToken = ({ flags, env }: ResolveOptions): boolean =>
  flags.token !== undefined || flags.tokenFile !== undefined || Boolean(env["FAIRLEAD_TOKEN"]);

/** A token names its plane: one of the environment is not handed to the plane of another token. */
function requireSamePlane(fromEnv: string, context: Context): void {
  const [own, known] = [fromEnv, context.token].map((text) =>
    text === undefined ? null : parseToken(text).fingerprint,
  );
  if (own === null || own === undefined || known === null || known === undefined || own === known) return;
  throw new CliError("fingerprint_mismatch", `FAIRLEAD_TOKEN is of another control plane than ${context.server}`, {
    hint: "unset FAIRLEAD_TOKEN to use the context's token, or set FAIRLEAD_SERVER too",
  });
}

async function findContext(options: ResolveOptions): Promise<Context | null> {
  const path = toConfigPath(options.env);
  const named = options.flags.context;
  // Server and token of the environment suffice: a broken file must not stand in the way of a script.
  if (named === undefined && (options.flags.server ?? options.env["FAIRLEAD_SERVER"])) return null;
  const config = loadConfig(path);
  const name = named ?? config.current;
  if (name === null) return null;
  const context = config.contexts[name];
  if (context !== undefined)
    return hasOwnToken(options) ? context : await refreshContext({ path, name, context, nowMs: options.nowMs() });
  const near = suggestName(name, Object.keys(config.contexts));
  throw new CliError("context_unknown", `there is no context "${name}" in ${path}`, {
    hint: near === null ? "fairlead contexts list shows what there is" : `did you mean "${near}"?`,
  });
}

/**
 * The server: flags first, then the named context, then the environment, then the current context. The token: flags, then the
 * environment, then the context, be it named or not; whoever exports a token means to be who it says.
 */
export async function resolveTarget(options: ResolveOptions): Promise<Target> {
  const { flags, env } = options;
  const context = await findContext(options);
  const server = flags.server ?? context?.server ?? env["FAIRLEAD_SERVER"];
  if (server === undefined || server === "")
    throw new CliError("no_server", "no control plane is chosen", {
      hint: "fairlead contexts add NAME --server URL --token TOKEN, or set FAIRLEAD_SERVER and FAIRLEAD_TOKEN",
    });
  const parsedServer = parseServer(server);
  if (flags.token !== undefined && flags.tokenFile !== undefined)
    throw toUsageError("--token and --token-file are both given", "give one of them");
  const fromFile = flags.tokenFile === undefined ? undefined : readTokenFile(flags.tokenFile);
  // A variable that is empty is not set.
  const fromEnv = env["FAIRLEAD_TOKEN"] || undefined;
  const flagged = flags.token ?? fromFile;
  if (flagged === undefined && fromEnv !== undefined && context !== null) requireSamePlane(fromEnv, context);
  const tokenText = flagged ?? fromEnv ?? context?.token;
  const token = tokenText === undefined || tokenText === "" ? null : parseToken(tokenText);
  if (token !== null) requireSafeTransport(parsedServer);
  const ca = flags.ca === undefined ? context?.ca : readCaFile(flags.ca);
  if (ca !== undefined || token === null || token.fingerprint === null || !parsedServer.startsWith("https:"))
    return { server: parsedServer, token: token?.text, ca };
  return {
    server: parsedServer,
    token: token.text,
    ca: await fetchPinnedCa(parsedServer, token.fingerprint, options.timeoutMs),
  };
}
