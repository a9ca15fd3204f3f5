import { ProtocolError } from "./protocol-error.ts";

/*
 * JSON.parse makes doubles of all numbers, and a 64-bit integer beyond 2^53 loses digits there. Its reviver is told the text
 * of every number, for 5 µs per value, which is too much on the thread that reads everybody's requests. So a document that
 * holds such a number is read a second time with those numbers as text, for 75 ns per byte.
 */

/** Most JSON that is read a second time: 0.3 s. */
const maxExactBytes = 4_194_304;
/** A string, or what begins like a long number. Only valid JSON comes here, so no string stays open. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}/gsu;
/** More digits are no 64-bit integer; fewer are exact as they are. */
const longInteger = /^-?\d{16,20}$/u;

/** Whether a number in it, at any depth that data may have, is a whole one that a double may not hold. */
export function hasLongIntegers(data: unknown, depth = 0): boolean {
  if (Array.isArray(data)) return depth <= 16 && data.some((item) => hasLongIntegers(item, depth + 1));
  return typeof data === "number" && Number.isInteger(data) && !Number.isSafeInteger(data);
}

/**
 * The data of one tensor as it was read from valid JSON, with its long integers as bigint.
 * @param json the document that `data` was read from, as the element `index` of its array `list`
 * @throws ProtocolError `request_too_large`
 */
export function restoreLongIntegers(
  data: unknown,
  json: Uint8Array,
  [list, index]: readonly ["inputs" | "outputs", number],
): unknown {
  if (json.length > maxExactBytes)
    throw new ProtocolError(
      "request_too_large",
      `JSON of more than ${maxExactBytes} bytes holds integers beyond 2^53: send them as binary data`,
    );
  const text = Buffer.from(json.buffer, json.byteOffset, json.length).toString("utf8");
  const quoted = text.replaceAll(stringOrNumber, (found) => (longInteger.test(found) ? `"${found}"` : found));
  const document = JSON.parse(quoted) as Readonly<Record<string, readonly { readonly data?: unknown }[]>>;
  return merge(data, document[list]?.[index]?.data, 0);
}

/** What is text in one reading and a number in the other was quoted here; text that was sent stays text. */
function merge(plain: unknown, quoted: unknown, depth: number): unknown {
  if (Array.isArray(plain) && Array.isArray(quoted) && depth <= 16)
    return plain.map((item, index) => merge(item, quoted[index], depth + 1));
  return typeof plain === "number" && typeof quoted === "string" ? BigInt(quoted) : plain;
}
