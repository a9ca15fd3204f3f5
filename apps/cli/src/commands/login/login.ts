import { setTimeout as delay } from "node:timers/promises";
import { createClient, type HttpFetch } from "@fairlead/client";
import type { OidcSettings } from "@fairlead/protocol";
import type { Command, CommandContext } from "../../command.ts";
import { contextNameSchema, loadConfig, saveConfig, toConfigPath } from "../../context/config-file.ts";
import { openTrustedConnection } from "../../context/connection.ts";
import { parseServer, readCaFile, requireSafeTransport } from "../../context/resolve.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { awaitLogin, parseStarted } from "../../login/device-grant.ts";
import { discoverIssuer, postForm } from "../../login/issuer.ts";
import { toSentToken } from "../../login/tokens.ts";

async function readSettings(server: string, ca: string | undefined): Promise<OidcSettings> {
  const connection = openTrustedConnection(ca);
  try {
    return await createClient({ server, fetch: connection.fetch }).login.readSettings();
  } finally {
    await connection.close();
  }
}

async function signIn(fetch: HttpFetch, settings: OidcSettings, { out, signal, nowMs }: CommandContext) {
  const endpoints = await discoverIssuer(fetch, settings.issuer);
  const client = { client_id: settings.clientId };
  const scope = settings.scopes.join(" ");
  const started = parseStarted(await postForm(fetch, endpoints.deviceAuthorization, { ...client, scope }));
  out.message(
    `open ${started.verification_uri_complete ?? started.verification_uri} and confirm the code ${started.user_code}`,
  );
  const grant = {
    ...client,
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: started.device_code,
  };
  return await awaitLogin({
    started,
    ask: () => postForm(fetch, endpoints.token, grant),
    wait: (delayMs) => delay(delayMs, undefined, { signal }),
    nowMs,
  });
}

export const login: Command = {
  noun: "login",
  verb: "",
  summary: "Sign in as a person, at the issuer that the control plane names",
  arguments: [
    { syntax: "[name]", description: "context to sign in for; default: the current one, or a new one named default" },
  ],
  options: [
    { flags: "--issuer-ca <file>", description: "certificate authority of the issuer, PEM; default: the system's" },
  ],
  help: "A code is shown that you confirm in a browser, on this machine or another. The token is kept in the context file (0600) and renewed by itself.",
  async run(context, input) {
    const { env, globals, nowMs, out } = context;
    const path = toConfigPath(env);
    const config = loadConfig(path);
    const name = input.args[0] ?? globals.context ?? config.current ?? "default";
    if (!contextNameSchema.safeParse(name).success) throw toUsageError(`"${name}" is not a context name`);
    const known = config.contexts[name];
    const address = globals.server ?? known?.server ?? env["FAIRLEAD_SERVER"];
    if (address === undefined || address === "")
      throw toUsageError("--server is needed", "write --server https://host:port");
    const server = parseServer(address);
    requireSafeTransport(server);
    // Another server's authority says nothing about this one.
    const ca = globals.ca === undefined ? (known?.server === server ? known.ca : undefined) : readCaFile(globals.ca);
    const issuerCaFile = input.text("issuerCa");
    const issuerCa = issuerCaFile === undefined ? known?.login?.issuerCa : readCaFile(issuerCaFile);
    const settings = await readSettings(server, ca);
    const connection = openTrustedConnection(issuerCa);
    try {
      const tokens = await signIn(connection.fetch, settings, context);
      const { token, expiresAtMs } = toSentToken(tokens, settings.tokenUse, nowMs());
      const { issuer, clientId, tokenUse } = settings;
      const { refreshToken } = tokens;
      const kept = {
        ...{ issuer, clientId, tokenUse, expiresAtMs },
        ...(refreshToken === undefined ? {} : { refreshToken }),
        ...(issuerCa === undefined ? {} : { issuerCa }),
      };
      const next = { server, token, login: kept, ...(ca === undefined ? {} : { ca }) };
      const latest = loadConfig(path);
      saveConfig(path, { current: name, contexts: { ...latest.contexts, [name]: next } });
      out.message(`signed in; context "${name}" is saved in ${path} and in use`);
    } finally {
      await connection.close();
    }
  },
};

export const logout: Command = {
  noun: "logout",
  verb: "",
  summary: "Forget the token of a context, and what renews it",
  arguments: [{ syntax: "[name]", description: "context; default: the current one" }],
  run({ env, globals, out }, input) {
    const path = toConfigPath(env);
    const config = loadConfig(path);
    const name = input.args[0] ?? globals.context ?? config.current ?? "";
    const known = config.contexts[name];
    if (known === undefined)
      throw new CliError("context_unknown", `there is no context "${name}"`, { hint: "fairlead contexts list" });
    const { token: _token, login: _login, ...rest } = known;
    saveConfig(path, { ...config, contexts: { ...config.contexts, [name]: rest } });
    out.message(`the token of context "${name}" is forgotten; the issuer still takes it until it ends`);
  },
};
