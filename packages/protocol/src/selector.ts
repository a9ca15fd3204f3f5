import { CodedError } from "@fairlead/kernel";
import * as z from "zod";
import { labelKeySchema, labelValueSchema, type Labels } from "./ids.ts";
import { limits } from "./limits.ts";

export type SelectorRequirement =
  | { readonly kind: "in"; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: "not-in"; readonly key: string; readonly values: readonly string[] }
  | { readonly kind: "exists"; readonly key: string }
  | { readonly kind: "not-exists"; readonly key: string };

const term =
  /^(?:(?<neg>!)?(?<bare>[A-Za-z0-9_.-]+)|(?<key>[A-Za-z0-9_.-]+)\s*(?<op>==?|!=)\s*(?<value>[A-Za-z0-9_.-]*)|(?<setKey>[A-Za-z0-9_.-]+)\s+(?<setOp>in|notin)\s*\((?<set>[^()]*)\))$/u;

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (character === "," && depth === 0) {
      terms.push(text.slice(start, index));
      start = index + 1;
    }
  }
  terms.push(text.slice(start));
  return terms.map((part) => part.trim());
}

function parseTerm(text: string): SelectorRequirement {
  const groups = term.exec(text)?.groups;
  const refuse = (): never => {
    throw new CodedError("selector_invalid", `"${text}" is not a selector requirement`, {
      hint: "write key=value, key!=value, key in (a,b), key notin (a,b), key or !key, joined by commas",
    });
  };
  if (groups === undefined) return refuse();
  const key = groups["bare"] ?? groups["key"] ?? groups["setKey"] ?? "";
  const list = groups["set"]?.split(",").map((value) => value.trim()) ?? [groups["value"] ?? ""];
  if (!labelKeySchema.safeParse(key).success || !list.every((value) => labelValueSchema.safeParse(value).success))
    return refuse();
  if (groups["bare"] !== undefined)
    return groups["neg"] === undefined ? { kind: "exists", key } : { kind: "not-exists", key };
  const negative = groups["op"] === "!=" || groups["setOp"] === "notin";
  return { kind: negative ? "not-in" : "in", key, values: list };
}

/**
 * Parses the Kubernetes label selector syntax (`site=berlin,arch in (arm64),!canary`). The empty text selects everything.
 * @throws CodedError `selector_invalid`
 */
export function parseSelector(text: string): readonly SelectorRequirement[] {
  if (text.length > limits.selectorCharacters) throw new CodedError("selector_invalid", "the selector is too long");
  return text.trim() === "" ? [] : splitTerms(text).map(parseTerm);
}

/** True when the labels meet every requirement. As in Kubernetes, `!=` and `notin` also match an absent key. */
export function isSelected(selector: readonly SelectorRequirement[], labels: Labels): boolean {
  return selector.every((requirement) => {
    const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
    switch (requirement.kind) {
      case "in":
        return value !== undefined && requirement.values.includes(value);
      case "not-in":
        return value === undefined || !requirement.values.includes(value);
      case "exists":
        return value !== undefined;
      case "not-exists":
        return value === undefined;
    }
  });
}

export const selectorSchema = z
  .string()
  .max(limits.selectorCharacters)
  .refine((text) => {
    try {
      parseSelector(text);
      return true;
    } catch {
      return false;
    }
  }, "not a label selector");
