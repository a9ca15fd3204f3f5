import { withoutSecrets } from "@fairlead/kernel";
import { Argument, Command as Program, Option } from "commander";
import type { Command, GlobalOptions, Input, OptionSpec } from "./command.ts";
import { toCompletionScript, toCompletionTree } from "./completion.ts";
import { createInput } from "./input.ts";
import { formats, type Streams } from "./output/output.ts";
import { sanitizeLines } from "./output/sanitize.ts";

const nounSummaries: Readonly<Record<string, string>> = {
  devices: "Devices: health, labels, approval",
  enrolments: "Tokens and requests with which devices join",
  models: "Models, their versions and builds",
  broker: "Configuration for a broker of your own",
  webhooks: "Addresses that are told of alerts and outcomes",
  tokens: "Tokens of people and machines, by role",
  keys: "Keys of publishers and of the root, made and kept on this machine",
  trust: "Who may say what devices may install",
  releases: "Signed statements that a version may be installed",
  rollouts: "Staged changes of what devices run",
  remediations: "What was detected and healed",
  alerts: "Alerts",
  audit: "Who did what to whom and why",
  contexts: "Remembered control planes",
};

export const globalFlags: readonly OptionSpec[] = [
  { flags: "--context <name>", description: "context to use instead of the current one" },
  { flags: "--server <url>", description: "control plane (FAIRLEAD_SERVER)" },
  {
    flags: "--token <token>",
    description: "administrator token (FAIRLEAD_TOKEN is safer: it is not in the process list)",
  },
  {
    flags: "--token-file <file>",
    description: "file that holds the token and that only you may read; - reads it from standard input",
  },
  { flags: "--ca <file>", description: "certificate authority of the control plane, PEM" },
  { flags: "-o, --output <format>", description: "output form", choices: formats, default: "table" },
  { flags: "--no-headers", description: "tables without the first line" },
  { flags: "-q, --quiet", description: "no messages on standard error but errors" },
  { flags: "-y, --yes", description: "do not ask" },
  { flags: "--timeout <duration>", description: "longest wait: 30s, 5m" },
];

export type Execute = (command: Command, input: Input, globals: GlobalOptions) => Promise<void>;

function toOption(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.default !== undefined) option.default(spec.default);
  if (spec.choices !== undefined) option.choices([...spec.choices]);
  if (spec.required === true) option.makeOptionMandatory();
  if (spec.repeatable === true)
    option.argParser(
      (value: string, previous: unknown) => [...(Array.isArray(previous) ? previous : []), value] as never,
    );
  return option;
}

function addCommand(parent: Program, command: Command, execute: Execute): void {
  const program = command.verb === "" ? parent.command(command.noun) : parent.command(command.verb);
  program.description(command.summary);
  for (const argument of command.arguments ?? [])
    program.addArgument(new Argument(argument.syntax, argument.description));
  for (const option of command.options ?? []) program.addOption(toOption(option));
  // Global options are accepted after the verb too, where people write them.
  const own = new Set((command.options ?? []).map((option) => toOption(option).attributeName()));
  for (const spec of globalFlags) {
    const option = toOption({
      flags: spec.flags,
      description: spec.description,
      ...(spec.choices === undefined ? {} : { choices: spec.choices }),
    });
    if (!own.has(option.attributeName())) program.addOption(option.hideHelp());
  }
  if (command.help !== undefined) program.addHelpText("after", `\n${command.help}`);
  program.action(async () => {
    const globals = toGlobals(program);
    await execute(command, createInput(program.processedArgs, program.opts()), globals);
  });
}

/** The value nearest to the verb wins; defaults come last. */
function toGlobals(program: Program): GlobalOptions {
  const merged: Record<string, unknown> = { output: "table", headers: true };
  const chain: Program[] = [];
  for (let current: Program | null = program; current !== null; current = current.parent) chain.unshift(current);
  for (const level of chain)
    for (const spec of globalFlags) {
      const name = toOption(spec).attributeName();
      if (level.getOptionValueSource(name) === "cli") merged[name] = level.getOptionValue(name);
    }
  return merged as unknown as GlobalOptions;
}

/** Builds the command tree from data. Commander's own errors are thrown, not turned into an exit. */
export function createProgram(options: {
  readonly commands: readonly Command[];
  readonly version: string;
  readonly streams: Streams;
  readonly execute: Execute;
}): Program {
  const { streams } = options;
  const root = new Program("fairlead")
    .description("Rolls models out to edge devices, watches how they behave and keeps them honest.")
    .version(options.version, "-V, --cli-version", "version of this command")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.out.write(text),
      // It repeats what it did not understand, and that may be a token.
      writeErr: (text) => streams.err.write(sanitizeLines(withoutSecrets(text))),
    })
    .showSuggestionAfterError()
    .addHelpText(
      "after",
      "\nExit codes: 0 ok · 1 failed · 2 usage · 3 not found · 4 permission · 5 conflict · 6 timed out · 7 unreachable ·\n8 rollout ended rolled back or aborted · 130 interrupted",
    );
  for (const spec of globalFlags) root.addOption(toOption(spec));
  const nouns = new Map<string, Program>();
  for (const command of options.commands) {
    if (command.verb === "") {
      addCommand(root, command, options.execute);
      continue;
    }
    let noun = nouns.get(command.noun);
    if (noun === undefined) {
      noun = root.command(command.noun).description(nounSummaries[command.noun] ?? "");
      nouns.set(command.noun, noun);
    }
    addCommand(noun, command, options.execute);
  }
  root
    .command("completion")
    .description("Print a completion script: source <(fairlead completion bash)")
    .argument("<shell>", "bash, zsh or fish")
    .action((shell: string) => {
      const flags = globalFlags.map((spec) => spec.flags);
      const all = [...options.commands, { noun: "completion", verb: "", summary: "", run: () => undefined }];
      streams.out.write(toCompletionScript(shell, toCompletionTree(all, flags)));
    });
  return root;
}
