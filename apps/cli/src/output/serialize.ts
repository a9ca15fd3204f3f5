import { isScalar, visit, Document } from "yaml";
import { hasUnsafe, sanitizeLines } from "./sanitize.ts";

/** Stable JSON. Raw C1 and direction characters can only stand inside strings, where the escape means the same. */
export function toJsonText(value: unknown): string {
  return sanitizeLines(JSON.stringify(value, null, 2));
}

/** YAML in which no string can reach the terminal unescaped: strings with control characters are double-quoted. */
export function toYamlText(value: unknown): string {
  const document = new Document(structuredClone(value), { aliasDuplicateObjects: false });
  visit(document, (_, node) => {
    if (isScalar(node) && typeof node.value === "string" && hasUnsafe(node.value)) node.type = "QUOTE_DOUBLE";
  });
  return sanitizeLines(document.toString({ lineWidth: 0 })).trimEnd();
}
