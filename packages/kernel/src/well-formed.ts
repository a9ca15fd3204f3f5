/**
 * Plain data in which every string is well-formed Unicode (a lone surrogate becomes U+FFFD) and every number finite (others
 * become their names): what canonical JSON (RFC 8785) can tell. `JSON.parse` makes lone surrogates of escapes, and a text
 * that is cut in the middle of a character has one.
 */
export function toWellFormed(value: unknown): unknown {
  if (typeof value === "string") return value.toWellFormed();
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value)) return value.map(toWellFormed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key.toWellFormed(), toWellFormed(member)]));
}

/** Text of JSON → data whose strings are well-formed. @throws SyntaxError */
export function parseWellFormedJson(text: string, reviver?: (name: string, value: unknown) => unknown): unknown {
  const value: unknown = JSON.parse(text, reviver);
  // Decoded text has none itself, so only an escape can make one; to look at every string costs.
  return /\\u[dD][89a-fA-F]/u.test(text) ? toWellFormed(value) : value;
}
