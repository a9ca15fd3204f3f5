import { toUsageError } from "../errors.ts";

export interface ParsedStage {
  readonly name: string;
  readonly target:
    | { readonly kind: "percent"; readonly percent: number }
    | { readonly kind: "selector"; readonly selector: string };
}

/** Commas inside braces or parentheses belong to a selector. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = "";
  for (const character of text) {
    if (character === "{" || character === "(") depth += 1;
    if (character === "}" || character === ")") depth -= 1;
    if (character === "," && depth === 0) {
      parts.push(part);
      part = "";
    } else part += character;
  }
  return [...parts, part].map((piece) => piece.trim());
}

/**
 * `canary=10%,half=50%,all=100%` (cumulative shares), or a selector: `canary=role=canary`, with braces where it has
 * commas: `canary={role=canary,site=berlin}`.
 */
export function parseStages(text: string): ParsedStage[] {
  return split(text).map((piece) => {
    const match = /^(?<name>[a-z0-9][a-z0-9-]{0,31})=(?<target>.+)$/u.exec(piece)?.groups;
    if (match === undefined)
      throw toUsageError(
        `"${piece}" is not a stage`,
        "write NAME=PERCENT% or NAME=SELECTOR, for instance canary=10%,all=100%",
      );
    const target = match["target"] ?? "";
    const percent = /^(\d+(?:\.\d+)?)\s*%$/u.exec(target)?.[1];
    const name = match["name"] ?? "";
    if (percent !== undefined) return { name, target: { kind: "percent", percent: Number(percent) } };
    if (/^\d+(?:\.\d+)?$/u.test(target))
      throw toUsageError(`stage "${name}": ${target} has no unit`, `write ${name}=${target}%`);
    return { name, target: { kind: "selector", selector: target.replace(/^\{(.*)\}$/u, "$1") } };
  });
}
