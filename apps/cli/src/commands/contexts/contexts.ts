import type { Command } from "../../command.ts";
import { contextNameSchema, loadConfig, saveConfig, toConfigPath, type Config } from "../../context/config-file.ts";
import { parseServer, requireSafeTransport, resolveTarget } from "../../context/resolve.ts";
import { CliError, toUsageError } from "../../errors.ts";
import { firstArgument } from "../../input.ts";
import { suggestName } from "../../suggest.ts";

const name = { syntax: "<name>", description: "context name" };

function requireContext(config: Config, wanted: string): void {
  if (Object.hasOwn(config.contexts, wanted)) return;
  const near = suggestName(wanted, Object.keys(config.contexts));
  throw new CliError("context_unknown", `there is no context "${wanted}"`, {
    hint: near === null ? "fairlead contexts list shows what there is" : `did you mean "${near}"?`,
  });
}

export const addContext: Command = {
  noun: "contexts",
  verb: "add",
  summary: "Remember a control plane: --server, --token; its authority is pinned",
  arguments: [name],
  help: "The token's second half is the fingerprint of the plane's certificate authority: the authority is fetched, compared and pinned.",
  async run({ env, globals, timeoutMs, nowMs, out }, input) {
    const wanted = firstArgument(input);
    if (!contextNameSchema.safeParse(wanted).success) throw toUsageError(`"${wanted}" is not a context name`);
    const server = globals.server ?? env["FAIRLEAD_SERVER"];
    if (server === undefined) throw toUsageError("--server is needed", "write --server https://host:port");
    requireSafeTransport(parseServer(server));
    const path = toConfigPath(env);
    const config = loadConfig(path);
    const { context: _unused, ...flags } = globals;
    const target = await resolveTarget({ flags: { ...flags, server }, env, timeoutMs: timeoutMs ?? 30_000, nowMs });
    const before = config.contexts[wanted];
    if (before !== undefined && before.server !== target.server)
      throw toUsageError(
        `the context "${wanted}" is there already, of ${before.server}`,
        `choose another name, or forget it first: fairlead contexts remove ${wanted}`,
      );
    // The token of before may be nowhere else: it goes only when another one takes its place.
    const { token = before?.token, ca = before?.ca } = target;
    const context = {
      ...before,
      server: target.server,
      ...(token === undefined ? {} : { token }),
      ...(ca === undefined ? {} : { ca }),
    };
    saveConfig(path, { current: wanted, contexts: { ...config.contexts, [wanted]: context } });
    out.message(`context "${wanted}" is saved in ${path} and in use`);
  },
};

export const listContexts: Command = {
  noun: "contexts",
  verb: "list",
  summary: "List remembered control planes",
  run({ env, out }) {
    const config = loadConfig(toConfigPath(env));
    const items = Object.entries(config.contexts).map(([key, context]) => ({
      name: key,
      current: key === config.current,
      server: context.server,
      token: context.token !== undefined,
      pinned: context.ca !== undefined,
    }));
    out.list(items, {
      name: (item) => item.name,
      empty: "no contexts: fairlead contexts add NAME --server URL --token TOKEN",
      columns: [
        { title: "CURRENT", cell: (item) => (item.current ? "*" : "") },
        { title: "NAME", cell: (item) => item.name },
        { title: "SERVER", cell: (item) => item.server },
        { title: "TOKEN", cell: (item) => (item.token ? "set" : "none") },
        { title: "AUTHORITY", cell: (item) => (item.pinned ? "pinned" : "system") },
      ],
    });
  },
};

export const useContext: Command = {
  noun: "contexts",
  verb: "use",
  summary: "Choose the context that commands use",
  arguments: [name],
  run({ env, out }, input) {
    const path = toConfigPath(env);
    const config = loadConfig(path);
    requireContext(config, firstArgument(input));
    saveConfig(path, { ...config, current: firstArgument(input) });
    out.message(`context "${firstArgument(input)}" is in use`);
  },
};

export const currentContext: Command = {
  noun: "contexts",
  verb: "current",
  summary: "Name the context in use",
  run({ env, out }) {
    const { current } = loadConfig(toConfigPath(env));
    if (current === null)
      throw new CliError("context_unknown", "no context is in use", { hint: "fairlead contexts use NAME" });
    if (out.isStructured) out.value({ current });
    else out.lines([current]);
  },
};

export const removeContext: Command = {
  noun: "contexts",
  verb: "remove",
  summary: "Forget a context and its token",
  arguments: [name],
  run({ env, out }, input) {
    const path = toConfigPath(env);
    const config = loadConfig(path);
    const wanted = firstArgument(input);
    requireContext(config, wanted);
    const { [wanted]: _removed, ...contexts } = config.contexts;
    saveConfig(path, { current: config.current === wanted ? null : config.current, contexts });
    out.message(`context "${wanted}" is forgotten`);
  },
};
