import { CodedError } from "@fairlead/kernel";
import canonicalize from "canonicalize";

/** Deeper documents are refused: no document of ours nests a quarter as deep, and recursion must end. */
const maxDepth = 64;

function refuse(where: string, what: string): never {
  throw new CodedError("not_canonical", `${where || "the document"} ${what}`, {
    hint: "sign plain JSON: objects, arrays, strings, finite numbers, booleans and null",
  });
}

function requirePlain(value: unknown, where: string, depth: number): void {
  if (depth > maxDepth) refuse(where, `nests deeper than ${maxDepth}`);
  if (value === null || typeof value === "boolean") return;
  if (typeof value === "string")
    return /\p{Surrogate}/u.test(value) ? refuse(where, "holds a lone surrogate") : undefined;
  if (typeof value === "number") return Number.isFinite(value) ? undefined : refuse(where, "is not a finite number");
  if (typeof value !== "object") refuse(where, `is a ${typeof value}`);
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) requirePlain(value[index], `${where}[${index}]`, depth + 1);
    return;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) refuse(where, "is not a plain object");
  for (const [key, member] of Object.entries(value)) {
    // An own `__proto__` survives JSON.parse but not every copy of the object, so two readers could see two documents.
    if (key === "__proto__") refuse(where, "has a member named __proto__");
    requirePlain(member, where === "" ? key : `${where}.${key}`, depth + 1);
  }
}

/**
 * The canonical form of RFC 8785, the text that is signed and hashed.
 * @throws CodedError `not_canonical` for anything but plain JSON: NaN, infinities, undefined, dates, class instances,
 * lone surrogates, more than 64 levels
 */
export function toCanonicalJson(value: unknown): string {
  requirePlain(value, "", 0);
  const text = canonicalize(value);
  return text ?? refuse("", "has no canonical form");
}
