import { refuseDocument } from "./errors.ts";

/** Ours nests six deep; the bound keeps a parser from being walked into the ground. */
const maxDepth = 32;
/**
 * Members of one object or array. The library copies a map once per member: 10,000 roles took it 24 s, 2,000 take one.
 */
const maxMembers = 2_048;

/**
 * A text that is never closed is a token too: a pattern that failed at its end would begin anew at each of its quotes, and
 * half a megabyte of them kept a processor busy for minutes.
 */
const token = /"(?:[^"\\]+|\\.)*(?<close>"?)|-?\d[\d.eE+-]*|[{}[\],:]|true|false|null/gsu;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuseDocument("is not JSON");
  }
}

interface Level {
  readonly keys: Set<string> | null;
  expectsKey: boolean;
  commas: number;
}

function requireNumber(text: string): void {
  const value = Number(text);
  // Versions and lengths are compared as numbers, so each must be exactly what its text says.
  if (!Number.isSafeInteger(value) || Object.is(value, -0) || String(value) !== text)
    refuseDocument(`holds the number ${text.slice(0, 40)}, which is not a plain integer`);
}

function noteKey(level: Level, text: string): void {
  const key = parse(text) as string;
  if (level.keys?.has(key) === true) refuseDocument(`names the member ${text.slice(0, 80)} twice`);
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
    return refuseDocument("is not UTF-8");
  }
  if (text.startsWith("\uFEFF")) refuseDocument("begins with a byte order mark");
  const levels: Level[] = [];
  for (const match of text.matchAll(token)) {
    const [part] = match;
    const level = levels.at(-1);
    if (match.groups?.["close"] === "") refuseDocument("is not JSON");
    if (part === "{" || part === "[") {
      levels.push({ keys: part === "{" ? new Set() : null, expectsKey: part === "{", commas: 0 });
      if (levels.length > maxDepth) refuseDocument(`nests deeper than ${maxDepth}`);
    } else if (part === "}" || part === "]") levels.pop();
    else if (part === ",") {
      if (level === undefined) continue;
      level.expectsKey = level.keys !== null;
      level.commas += 1;
      if (level.commas >= maxMembers) refuseDocument(`has more than ${maxMembers} members in one place`);
    } else if (part.startsWith('"')) {
      if (level?.expectsKey === true) noteKey(level, part);
    } else if (/^[-\d]/u.test(part)) requireNumber(part);
  }
  parse(text);
}
