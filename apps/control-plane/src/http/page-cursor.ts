import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

/** Cursors are opaque to clients: the last key of the page before. */
export function toCursor(key: string): string {
  return Buffer.from(key, "utf8").toString("base64url");
}

/** Names, identifiers and versions; a list by number says so. */
const textKey = /^[\x21-\x7e]{1,192}$/u;
export const numberKey = /^\d{1,15}$/u;

/** @throws CodedError `bad_request` */
export function parseCursor(cursor: string | undefined, pattern = textKey): string | undefined {
  if (cursor === undefined) return undefined;
  const key = Buffer.from(cursor, "base64url").toString("utf8");
  if (toCursor(key) === cursor && pattern.test(key)) return key;
  throw new CodedError<HttpErrorCode>("bad_request", "the cursor is not one of ours", {
    hint: "take it from nextCursor",
  });
}

/** One page of items that were read with one more than `limit`. */
export function toPage<Item>(items: readonly Item[], limit: number, toKey: (item: Item) => string) {
  const page = items.slice(0, limit);
  const last = page.at(-1);
  return { items: page, nextCursor: items.length > limit && last !== undefined ? toCursor(toKey(last)) : null };
}
