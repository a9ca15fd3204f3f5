import type { Client } from "@fairlead/client";
import type { Output, Streams } from "./output/output.ts";

export interface ArgumentSpec {
  /** `<name>` required, `[name]` optional, `<name...>` many. */
  readonly syntax: string;
  readonly description: string;
}

export interface OptionSpec {
  /** Commander's form: `--model <name>`. */
  readonly flags: string;
  readonly description: string;
  readonly default?: string | boolean;
  readonly required?: boolean;
  /** May be given many times; the value is a list. */
  readonly repeatable?: boolean;
  readonly choices?: readonly string[];
}

/** What a handler works with. The client is made on first use: some commands need no server. */
export interface CommandContext {
  readonly out: Output;
  readonly streams: Streams;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly timeoutMs: number | null;
  readonly yes: boolean;
  readonly nowMs: () => number;
  readonly globals: GlobalOptions;
  readonly client: () => Promise<Client>;
  /** Asks on a terminal; without one, `--yes` is needed. */
  readonly confirm: (question: string) => Promise<void>;
}

export interface GlobalOptions {
  readonly context?: string;
  readonly server?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly output: string;
  readonly headers: boolean;
  readonly quiet?: boolean;
  readonly yes?: boolean;
  readonly timeout?: string;
}

/** Arguments and options as commander read them; each handler parses its own. */
export interface Input {
  readonly args: readonly string[];
  text(name: string): string | undefined;
  required(name: string): string;
  flag(name: string): boolean | undefined;
  many(name: string): readonly string[];
}

/** A command is data plus one handler; the handler's number is the exit code. */
export interface Command {
  readonly noun: string;
  readonly verb: string;
  readonly summary: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  readonly help?: string;
  readonly run: (context: CommandContext, input: Input) => Promise<number | void> | number | void;
}
