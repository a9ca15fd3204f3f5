import { Option } from "commander";
import type { OptionSpec } from "./command.ts";

/** The first word that is neither an option nor the value of a global one; null where there is none. */
export function toNoun(args: readonly string[], globalFlags: readonly OptionSpec[]): string | null {
  const options = globalFlags.map(({ flags }) => new Option(flags)).filter(({ required }) => required);
  const withValue = new Set(options.flatMap(({ short, long }) => [short, long]));
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? "";
    // Before the noun it asks for the help of all.
    if (word === "-h" || word === "--help") return null;
    if (withValue.has(word)) index += 1;
    else if (!word.startsWith("-")) return word;
  }
  return null;
}
