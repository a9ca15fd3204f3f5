import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

/** Refuses a write that was made against an older state; a write without `If-Match` passes. @throws CodedError `precondition_failed` */
export function requireMatch(headers: Headers, etag: string): void {
  const wanted = headers.get("if-match");
  if (wanted === null || wanted.trim() === "*") return;
  const tags = wanted.split(",").map((tag) => tag.trim().replace(/^"(.*)"$/u, "$1"));
  if (tags.includes(etag)) return;
  throw new CodedError<HttpErrorCode>("precondition_failed", "it was changed since you read it", {
    hint: "read it again and repeat the change on what you find",
  });
}

export function toEntityTag(etag: string): string {
  return `"${etag}"`;
}
