import { getPublicKey } from "@tufjs/models/dist/utils/key.js";
import { KeyObject } from "node:crypto";
import { refuseDocument } from "./errors.ts";

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/** Members in one order, so that two spellings of one value are one text. */
function toCanonicalText(value: unknown): string {
  const sort = (_name: string, member: unknown): unknown =>
    isObject(member) && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([left], [right]) => (left < right ? -1 : 1)))
      : member;
  return JSON.stringify(value, sort);
}

function parseKey(key: Readonly<Record<string, unknown>>, keyVal: string): KeyObject | undefined {
  const { keytype, scheme } = key;
  if (typeof keytype !== "string" || typeof scheme !== "string") return undefined;
  try {
    const parsed = getPublicKey({ keyType: keytype, scheme, keyVal }).key;
    return parsed instanceof KeyObject ? parsed : undefined;
  } catch {
    // What the library cannot verify with counts towards no threshold.
    return undefined;
  }
}

/**
 * The point or the modulus itself: a curve's point may be compressed in one PEM and not in the other, and lines may break
 * anywhere. What has no such form (RSA bound to parameters, curves nobody signs metadata with) could hide the same key.
 */
function toMathematicalForm(key: KeyObject): string {
  try {
    return toCanonicalText(key.export({ format: "jwk" }));
  } catch {
    return refuseDocument(
      `holds a key of the kind ${String(key.asymmetricKeyType)}, of which two forms cannot be told apart`,
    );
  }
}

/**
 * Everything that a key is known by: the key with which the library would verify, decoded by the library itself, and, since
 * some kinds are unknown to it, the text without what may differ in it. One in common makes two keys one.
 */
function listNames(key: unknown): readonly string[] {
  const value = isObject(key) ? key["keyval"] : undefined;
  const text = isObject(value) && typeof value["public"] === "string" ? value["public"] : "";
  const plain = (text === "" ? toCanonicalText(value ?? null) : text).replaceAll(/\s/gu, "").toLowerCase();
  const parsed = isObject(key) && text !== "" ? parseKey(key, text) : undefined;
  return parsed === undefined ? [plain] : [plain, toMathematicalForm(parsed)];
}

function requireDistinct(keys: unknown): void {
  if (!isObject(keys)) return;
  const seen = new Set<string>();
  for (const key of Object.values(keys)) {
    const names = listNames(key);
    if (names.some((name) => seen.has(name))) refuseDocument("lists one key under two names");
    for (const name of names) seen.add(name);
  }
}

/**
 * One key counts once: a document that lists a key under two names could let it meet a threshold of two alone.
 * @throws CodedError `metadata_refused`
 */
export function checkDistinctKeys(bytes: Uint8Array): void {
  const document: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
  const signed = isObject(document) ? document["signed"] : undefined;
  if (!isObject(signed)) return;
  // Both, each by itself: a member that the library does not look at must not keep this from looking at the other.
  requireDistinct(signed["keys"]);
  const { delegations } = signed;
  if (isObject(delegations)) requireDistinct(delegations["keys"]);
}
