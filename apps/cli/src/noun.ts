import type { OptionSpec } from "./command.ts";

/** The first word that is neither an option nor the value of a global one; null where there is none. */
export function toNoun(args: readonly string[], globalFlags: readonly OptionSpec[]): string | null {
  const withValue = new Set(
    globalFlags
      .filter(({ flags }) => flags.includes("<"))
      .flatMap(({ flags }) => flags.split(/[ ,]+/u).filter((word) => word.startsWith("-"))),
  );
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? "";
    // Before the noun it asks for the help of all.
    if (word === "-h" || word === "--help") return null;
    if (withValue.has(word)) index += 1;
    else if (!word.startsWith("-")) return word;
  }
  return null;
}
