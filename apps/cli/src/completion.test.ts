import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { loadCommands } from "./commands/index.ts";
import { toCompletionScript, toCompletionTree } from "./completion.ts";
import { globalFlags } from "./program.ts";

const tree = toCompletionTree(
  await loadCommands(null),
  globalFlags.map((spec) => spec.flags),
);

function complete(words: readonly string[]): string[] {
  const line = words.map((word) => `'${word}'`).join(" ");
  const script = `${toCompletionScript("bash", tree)}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _fairlead; echo "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" }).trim().split(" ");
}

it("completes nouns, verbs and options in bash", () => {
  expect(complete(["fairlead", "roll"])).toEqual(["rollouts"]);
  expect(complete(["fairlead", "rollouts", "un"])).toEqual(["undo"]);
  expect(complete(["fairlead", "--quiet", "models", "push", "--gol"])).toEqual(["--golden"]);
  expect(complete(["fairlead", "models", "push", "--tok"])).toEqual(["--token", "--token-file"]);
});

it("names every noun for fish and zsh, and refuses other shells", () => {
  for (const noun of tree.nouns) expect(toCompletionScript("fish", tree)).toContain(noun);
  expect(toCompletionScript("zsh", tree)).toContain("#compdef fairlead");
  expect(() => toCompletionScript("tcsh", tree)).toThrow(/tcsh/u);
});
