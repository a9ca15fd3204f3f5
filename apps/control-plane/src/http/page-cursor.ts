import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

/** Cursors are opaque to clients: the last key of the page before. */
export function toCursor(key: string): string {
  return Buffer.from(key, "utf8").toString("base64url");
}

/** @throws CodedError `bad_request` */
export function parseCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const key = Buffer.from(cursor, "base64url").toString("utf8");
  if (toCursor(key) === cursor) return key;
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
