/** What of a representation is asked for; both ends inclusive. */
export type ByteRange =
  | { readonly kind: "whole" }
  | { readonly kind: "part"; readonly first: number; readonly last: number }
  | { readonly kind: "unsatisfiable" };

const whole: ByteRange = { kind: "whole" };

/**
 * The `Range` header for a representation of `sizeBytes` bytes (RFC 9110 §14.2). A header that is malformed, in another
 * unit or asks for several ranges is ignored, as the section admits: the answer is the whole.
 */
export function parseByteRange(header: string | null, sizeBytes: number): ByteRange {
  const groups = /^bytes=[ \t]*(?<first>\d{0,15})-(?<last>\d{0,15})[ \t]*$/u.exec(header ?? "")?.groups;
  const first = groups?.["first"] ?? "";
  const last = groups?.["last"] ?? "";
  if (groups === undefined || (first === "" && last === "")) return whole;
  if (first === "") {
    const suffix = Number(last);
    if (suffix === 0 || sizeBytes === 0) return { kind: "unsatisfiable" };
    return { kind: "part", first: Math.max(0, sizeBytes - suffix), last: sizeBytes - 1 };
  }
  if (last !== "" && Number(last) < Number(first)) return whole;
  if (Number(first) >= sizeBytes) return { kind: "unsatisfiable" };
  return {
    kind: "part",
    first: Number(first),
    last: last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1),
  };
}

/** Strong comparison (RFC 9110 §8.8.3.2): weak tags never match. */
export function isTagListed(header: string, etag: string): boolean {
  return header.trim() === "*" || header.split(",").some((tag) => tag.trim() === `"${etag}"`);
}
