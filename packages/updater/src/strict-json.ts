import { CodedError } from "@fairlead/kernel";

/** Ours nests six deep; the bound keeps a parser from being walked into the ground. */
const maxDepth = 32;

function refuse(what: string): never {
  throw new CodedError("metadata_refused", `the document ${what}`, { hint: "have the document written by a TUF tool" });
}

const token = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}[\],:]|true|false|null/gsu;

interface Level {
  readonly keys: Set<string> | null;
  expectsKey: boolean;
}

function requireNumber(text: string): void {
  const value = Number(text);
  // Versions and lengths are compared as numbers, so each must be exactly what its text says.
  if (!Number.isSafeInteger(value) || Object.is(value, -0) || String(value) !== text)
    refuse(`holds the number ${text.slice(0, 40)}, which is not a plain integer`);
}

function noteKey(level: Level, text: string): void {
  const key = JSON.parse(text) as string;
  if (level.keys?.has(key) === true) refuse(`names the member ${text.slice(0, 80)} twice`);
  level.keys?.add(key);
  level.expectsKey = false;
}

/**
 * JSON of which all readers make the same: UTF-8 without a byte order mark, no member twice, plain integers only, at most
 * 32 levels, nothing after the end. To be asked before `JSON.parse`, which admits all of those.
 * @throws CodedError `metadata_refused`
 */
export function checkStrictJson(bytes: Uint8Array): void {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("is not UTF-8");
  }
  if (text.startsWith("\uFEFF")) refuse("begins with a byte order mark");
  const levels: Level[] = [];
  for (const [part] of text.matchAll(token)) {
    const level = levels.at(-1);
    if (part === "{" || part === "[") {
      levels.push({ keys: part === "{" ? new Set() : null, expectsKey: part === "{" });
      if (levels.length > maxDepth) refuse(`nests deeper than ${maxDepth}`);
    } else if (part === "}" || part === "]") levels.pop();
    else if (part === ",") {
      if (level !== undefined) level.expectsKey = level.keys !== null;
    } else if (part.startsWith('"')) {
      if (level?.expectsKey === true) noteKey(level, part);
    } else if (/^[-\d]/u.test(part)) requireNumber(part);
  }
  try {
    JSON.parse(text);
  } catch {
    refuse("is not JSON");
  }
}
