import type { Input } from "./command.ts";
import { toUsageError } from "./errors.ts";

/** Typed access to what commander read. Names are camel-cased option names. */
export function createInput(args: readonly unknown[], options: Readonly<Record<string, unknown>>): Input {
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === "string" ? value : undefined;
  };
  return {
    args: args.flat().filter((value): value is string => typeof value === "string"),
    text,
    required: (name) => {
      const value = text(name);
      if (value === undefined)
        throw toUsageError(`--${name.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)} is needed`);
      return value;
    },
    flag: (name) => (typeof options[name] === "boolean" ? options[name] : undefined),
    many: (name) => {
      const value = options[name];
      return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
    },
  };
}

/** The first argument; commander has already refused a missing one. */
export function firstArgument(input: Input): string {
  return input.args[0] ?? "";
}
