import { CliError } from "../errors.ts";
import { loadConfig, saveConfig, type Context } from "../context/config-file.ts";
import { openTrustedConnection } from "../context/connection.ts";
import { discoverIssuer, postForm } from "./issuer.ts";
import { parseTokens, toSentToken } from "./tokens.ts";

/** Asked for this long before the end, so that a command which takes a while does not run out of it. */
const earlyMs = 30_000;

export interface RefreshOptions {
  readonly path: string;
  readonly name: string;
  readonly context: Context;
  readonly nowMs: number;
}

function toExpired(cause?: unknown): CliError {
  return new CliError("login_expired", "the sign-in has ended", {
    ...(cause === undefined ? {} : { cause }),
    hint: "fairlead login",
  });
}

async function refresh({ path, name, context, nowMs }: RefreshOptions): Promise<Context> {
  const { login } = context;
  if (login?.refreshToken === undefined) throw toExpired();
  const connection = openTrustedConnection(login.issuerCa);
  try {
    const { token: endpoint } = await discoverIssuer(connection.fetch, login.issuer);
    const form = { grant_type: "refresh_token", refresh_token: login.refreshToken, client_id: login.clientId };
    const answer = await postForm(connection.fetch, endpoint, form);
    if (answer.status !== 200) throw toExpired();
    const tokens = parseTokens(answer.body, nowMs);
    const { token, expiresAtMs } = toSentToken(tokens, login.tokenUse, nowMs);
    // An issuer that rotates them sends another one; one that does not lets the old one stand (RFC 6749 §6).
    const refreshToken = tokens.refreshToken ?? login.refreshToken;
    const next: Context = { ...context, token, login: { ...login, refreshToken, expiresAtMs } };
    const config = loadConfig(path);
    saveConfig(path, { ...config, contexts: { ...config.contexts, [name]: next } });
    return next;
  } finally {
    await connection.close();
  }
}

/** The context with a token that is in force; another process may have fetched it in the meantime. @throws CliError `login_expired` · `issuer_unreachable` */
export async function refreshContext(options: RefreshOptions): Promise<Context> {
  const isOver = ({ login }: Context) => login !== undefined && options.nowMs >= login.expiresAtMs - earlyMs;
  if (!isOver(options.context)) return options.context;
  try {
    return await refresh(options);
  } catch (error) {
    const now = loadConfig(options.path).contexts[options.name];
    if (now !== undefined && !isOver(now)) return now;
    throw error;
  }
}
