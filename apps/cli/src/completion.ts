import type { Command } from "./command.ts";
import { toUsageError } from "./errors.ts";

export interface CompletionTree {
  readonly nouns: readonly string[];
  readonly verbs: Readonly<Record<string, readonly string[]>>;
  /** Options by `noun verb`. */
  readonly options: Readonly<Record<string, readonly string[]>>;
  readonly globals: readonly string[];
}

const toLong = (flags: string): string[] => flags.match(/--[a-z0-9-]+/gu) ?? [];

export function toCompletionTree(commands: readonly Command[], globalFlags: readonly string[]): CompletionTree {
  const nouns = [...new Set(commands.map((command) => command.noun))].toSorted();
  const verbs = Object.fromEntries(
    nouns.map((noun) => [
      noun,
      commands.filter((command) => command.noun === noun && command.verb !== "").map((command) => command.verb),
    ]),
  );
  const options = Object.fromEntries(
    commands.map((command) => [
      `${command.noun} ${command.verb}`.trim(),
      (command.options ?? []).flatMap((option) => toLong(option.flags)),
    ]),
  );
  return { nouns, verbs, options, globals: globalFlags.flatMap(toLong) };
}

function toBash(tree: CompletionTree): string {
  const verbs = tree.nouns.map((noun) => `    ${noun}) words="${(tree.verbs[noun] ?? []).join(" ")}" ;;`);
  const options = Object.entries(tree.options).map(
    ([path, list]) => `    "${path}") words="${[...list, ...tree.globals].join(" ")}" ;;`,
  );
  return `# bash completion for fairlead: source <(fairlead completion bash)
_fairlead() {
  local current="\${COMP_WORDS[COMP_CWORD]}" noun="" verb="" word words=""
  local -i index
  for ((index = 1; index < COMP_CWORD; index++)); do
    word="\${COMP_WORDS[index]}"
    [[ "$word" == -* ]] && continue
    if [[ -z "$noun" ]]; then noun="$word"; elif [[ -z "$verb" ]]; then verb="$word"; fi
  done
  if [[ "$current" == -* ]]; then
    case "\${noun}\${verb:+ $verb}" in
${options.join("\n")}
    *) words="${tree.globals.join(" ")}" ;;
    esac
  elif [[ -z "$noun" ]]; then
    words="${tree.nouns.join(" ")}"
  elif [[ -z "$verb" ]]; then
    case "$noun" in
${verbs.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _fairlead fairlead
`;
}

function toZsh(tree: CompletionTree): string {
  return `#compdef fairlead
# zsh completion for fairlead: source <(fairlead completion zsh)
autoload -U +X bashcompinit && bashcompinit
${toBash(tree)}`;
}

function toFish(tree: CompletionTree): string {
  const lines = ["# fish completion for fairlead: fairlead completion fish | source", "complete -c fairlead -f"];
  lines.push(`complete -c fairlead -n __fish_use_subcommand -a "${tree.nouns.join(" ")}"`);
  for (const noun of tree.nouns) {
    const verbs = tree.verbs[noun] ?? [];
    if (verbs.length > 0)
      lines.push(
        `complete -c fairlead -n "__fish_seen_subcommand_from ${noun}; and not __fish_seen_subcommand_from ${verbs.join(" ")}" -a "${verbs.join(" ")}"`,
      );
  }
  for (const [path, list] of Object.entries(tree.options)) {
    const condition = path
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    for (const option of list) lines.push(`complete -c fairlead -n "${condition}" -l ${option.slice(2)}`);
  }
  for (const option of tree.globals) lines.push(`complete -c fairlead -l ${option.slice(2)}`);
  return `${lines.join("\n")}\n`;
}

export function toCompletionScript(shell: string, tree: CompletionTree): string {
  switch (shell) {
    case "bash":
      return toBash(tree);
    case "zsh":
      return toZsh(tree);
    case "fish":
      return toFish(tree);
    default:
      throw toUsageError(`there is no completion for "${shell}"`, "choose bash, zsh or fish");
  }
}
