import { createInterface } from "node:readline/promises";
import { createClient, type Client } from "@fairlead/client";
import { hasErrorCode, toErrorCode, toErrorMessage, withoutSecrets } from "@fairlead/kernel";
import { CommanderError } from "commander";
import type { CommandContext, GlobalOptions } from "./command.ts";
import { loadCommands } from "./commands/index.ts";
import { openTrustedConnection, type Connection } from "./context/connection.ts";
import { resolveTarget } from "./context/resolve.ts";
import { CliError } from "./errors.ts";
import { exitCodes, toExitCode } from "./exit-codes.ts";
import { Output, type Format, type Streams } from "./output/output.ts";
import { sanitize } from "./output/sanitize.ts";
import { toNoun } from "./noun.ts";
import { parseDuration } from "./parse-duration.ts";
import { createProgram, globalFlags } from "./program.ts";
import { describeSystemError } from "./system-error.ts";

export interface RunOptions {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly streams: Streams;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly signal: AbortSignal;
  readonly nowMs: () => number;
  readonly version: string;
}

const defaultTimeoutMs = 30_000;

function hasColor(options: RunOptions): boolean {
  if (options.env["NO_COLOR"]) return false;
  if (options.env["FORCE_COLOR"] && options.env["FORCE_COLOR"] !== "0") return true;
  return options.streams.out.isTTY === true && options.env["TERM"] !== "dumb";
}

async function confirm(options: RunOptions, question: string): Promise<void> {
  if (options.stdin.isTTY !== true)
    throw new CliError("confirmation_needed", `this needs a confirmation and nobody is there to answer: ${question}`, {
      hint: "add --yes",
    });
  const prompt = createInterface({ input: options.stdin, output: options.streams.err as NodeJS.WritableStream });
  try {
    const answer = await prompt.question(`${sanitize(question)} [y/N] `, { signal: options.signal });
    if (!/^y(?:es)?$/iu.test(answer.trim()))
      throw new CliError("confirmation_needed", "not confirmed: nothing was changed");
  } finally {
    prompt.close();
  }
}

function createContext(options: RunOptions, globals: GlobalOptions, connections: Connection[]): CommandContext {
  const timeoutMs = globals.timeout === undefined ? null : parseDuration(globals.timeout);
  const requestTimeoutMs = Math.max(1, Math.min(timeoutMs ?? defaultTimeoutMs, 600_000));
  const out = new Output({
    streams: options.streams,
    format: globals.output as Format,
    headers: globals.headers,
    quiet: globals.quiet === true,
    color: hasColor(options),
    nowMs: options.nowMs,
  });
  if (globals.token !== undefined)
    out.message(
      "warning: a token on the command line stays in the shell's history; --token-file FILE and FAIRLEAD_TOKEN do not",
    );
  let opened: Promise<Client> | undefined;
  const open = async (): Promise<Client> => {
    const target = await resolveTarget({
      flags: globals,
      env: options.env,
      timeoutMs: requestTimeoutMs,
      nowMs: options.nowMs,
    });
    const connection = openTrustedConnection(target.ca);
    connections.push(connection);
    return createClient({
      server: target.server,
      fetch: connection.fetch,
      timeoutMs: requestTimeoutMs,
      ...(target.token === undefined ? {} : { token: target.token }),
    });
  };
  return {
    out,
    globals,
    timeoutMs,
    streams: options.streams,
    env: options.env,
    signal: options.signal,
    nowMs: options.nowMs,
    yes: globals.yes === true,
    client: () => (opened ??= open()),
    confirm: (question) => (globals.yes === true ? Promise.resolve() : confirm(options, question)),
  };
}

/** What, where, and what to do next; safe to print, and no part of it can begin a line of its own. */
export function toErrorText(error: unknown): string {
  const code = toErrorCode(error);
  const told = error instanceof CliError ? error.lines : [describeSystemError(error) ?? toErrorMessage(error)];
  const said = told.join("\n");
  const mark = code === undefined || code === "usage" ? "" : ` [${code}]`;
  const lines = told.map(
    (line, index) => `${index === 0 ? "error: " : ""}${line}${index === told.length - 1 ? mark : ""}`,
  );
  if (typeof error === "object" && error !== null) {
    if ("fields" in error && Array.isArray(error.fields))
      for (const field of error.fields as { path: string; message: string }[])
        if (!said.includes(`${field.path}: ${field.message}`)) lines.push(`  ${field.path}: ${field.message}`);
    if ("hint" in error && typeof error.hint === "string") lines.push(`hint: ${error.hint}`);
  }
  return withoutSecrets(lines.map(sanitize).join("\n"));
}

/** Alone, `--version` asks for this command's; behind the name of a command it is a model's. */
function toProgramArgs(args: readonly string[]): string[] {
  return args.length === 1 && args[0] === "--version" ? ["--cli-version"] : [...args];
}

/** Runs one command line and answers its exit code. Never throws. */
export async function run(options: RunOptions): Promise<number> {
  const connections: Connection[] = [];
  let exitCode: number = exitCodes.ok;
  const args = toProgramArgs(options.args);
  const program = createProgram({
    commands: await loadCommands(toNoun(args, globalFlags)),
    version: options.version,
    streams: options.streams,
    execute: async (command, input, globals) => {
      exitCode = (await command.run(createContext(options, globals, connections), input)) ?? exitCodes.ok;
    },
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    if (options.signal.aborted) return exitCodes.interrupted;
    // Commander has printed its own message and suggestion already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (hasErrorCode(error, "ABORT_ERR")) return exitCodes.interrupted;
    options.streams.err.write(`${toErrorText(error)}\n`);
    return toExitCode(error);
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
}
