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

/** The longest beginning of a requirement, to say where one stops being one. */
const beginning =
  /^(?:![A-Za-z0-9_.-]*|[A-Za-z0-9_.-]+(?:\s*(?:==?|!=)\s*[A-Za-z0-9_.-]*|\s+(?:in|notin)\s*(?:\([^()]*\)?)?|\s+)?)?/u;

const grammar =
  "write key=value, key!=value, key in (a,b), key notin (a,b), key or !key, joined by commas, such as site=berlin,!canary";

interface Term {
  readonly text: string;
  /** Where it begins in the selector. */
  readonly at: number;
}

function splitTerms(text: string): Term[] {
  const terms: Term[] = [];
  const add = (from: number, to: number) => {
    const part = text.slice(from, to);
    terms.push({ text: part.trim(), at: from + part.length - part.trimStart().length });
  };
  let depth = 0;
  let start = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (character === "(") depth += 1;
    else if (character === ")") depth -= 1;
    else if (character === "," && depth === 0) {
      add(start, index);
      start = index + 1;
    }
  }
  add(start, text.length);
  return terms;
}

function refuse(why: string): never {
  throw new CodedError("selector_invalid", `not a label selector: ${why}`, { hint: grammar });
}

/** Names the character at which the requirement breaks, counted from 1, and what stands before it. */
function refuseAt(selector: string, index: number): never {
  const before = selector.slice(Math.max(0, index - 32), index).trimStart();
  const after = before === "" ? "" : ` after "${before}"`;
  const point = selector.codePointAt(index);
  if (point === undefined) return refuse(`it ends too soon${after}`);
  return refuse(`unexpected ${JSON.stringify(String.fromCodePoint(point))} at character ${index + 1}${after}`);
}

function parseTerm({ text, at }: Term, selector: string): SelectorRequirement {
  const groups = term.exec(text)?.groups;
  if (groups === undefined) return refuseAt(selector, at + (beginning.exec(text)?.[0].length ?? 0));
  const key = groups["bare"] ?? groups["key"] ?? groups["setKey"] ?? "";
  const list = groups["set"]?.split(",").map((value) => value.trim()) ?? [groups["value"] ?? ""];
  if (!labelKeySchema.safeParse(key).success) return refuse(`"${key}" is no label key`);
  const wrong = list.find((value) => !labelValueSchema.safeParse(value).success);
  if (wrong !== undefined) return refuse(`"${wrong}" is no label value`);
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
  return text.trim() === "" ? [] : splitTerms(text).map((part) => parseTerm(part, text));
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

/** What is wrong with it and what to write instead; null when it is a selector. */
function toProblem(text: string): string | null {
  try {
    parseSelector(text);
    return null;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
  }
}

export const selectorSchema = z
  .string()
  .max(limits.selectorCharacters)
  .refine((text) => toProblem(text) === null, { error: ({ input }) => toProblem(String(input)) ?? undefined });
