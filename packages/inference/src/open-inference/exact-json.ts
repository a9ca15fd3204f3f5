import { ProtocolError } from "./protocol-error.ts";

/*
 * JSON.parse makes doubles of all numbers, and a 64-bit integer beyond 2^53 loses digits there. Its reviver is told the text
 * of every number, for 5 µs per value, which is too much on the thread that reads everybody's requests. So a document that
 * holds such a number is read a second time with those numbers as text, for 75 ns per byte.
 */

/** Most JSON that is read a second time: 0.2 s. */
const maxExactBytes = 2_097_152;
/** A string, or what begins like a long number. Only valid JSON comes here, so no string stays open. */
const stringOrNumber = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]{15,}/gsu;
/** More digits are no 64-bit integer; fewer are exact as they are. */
const longInteger = /^-?\d{16,20}$/u;

/** Whether a number in it, at any depth that data may have, is a whole one that a double may not hold. */
export function hasLongIntegers(data: unknown, depth = 0): boolean {
  if (Array.isArray(data)) return depth <= 16 && data.some((item) => hasLongIntegers(item, depth + 1));
  return typeof data === "number" && Number.isInteger(data) && !Number.isSafeInteger(data);
}

/** Where a tensor lies in a document: its index in one of the two lists. */
export type TensorPlace = readonly ["inputs" | "outputs", number];

/**
 * Gives the data of one tensor as it was read from this valid JSON, with its long integers as bigint. The document is read
 * a second time for the first tensor that asks and kept for the others, of which there may be hundreds.
 * @returns a reader that throws ProtocolError `request_too_large`
 */
export function createLongIntegerReader(json: Uint8Array): (data: unknown, place: TensorPlace) => unknown {
  let quoted: QuotedDocument | null = null;
  return (data, [list, index]) => {
    quoted ??= parseQuoted(json);
    return merge(data, quoted[list]?.[index]?.data, 0);
  };
}

/** The same for one tensor alone. */
export function restoreLongIntegers(data: unknown, json: Uint8Array, place: TensorPlace): unknown {
  return createLongIntegerReader(json)(data, place);
}

type QuotedDocument = Readonly<Record<string, readonly { readonly data?: unknown }[]>>;

function parseQuoted(json: Uint8Array): QuotedDocument {
  if (json.length > maxExactBytes)
    throw new ProtocolError(
      "request_too_large",
      `JSON of more than ${maxExactBytes} bytes holds integers beyond 2^53: send them as binary data`,
    );
  const text = Buffer.from(json.buffer, json.byteOffset, json.length).toString("utf8");
  const quoted = text.replaceAll(stringOrNumber, (found) => (longInteger.test(found) ? `"${found}"` : found));
  return JSON.parse(quoted) as QuotedDocument;
}

/** What is text in one reading and a number in the other was quoted here; text that was sent stays text. */
function merge(plain: unknown, quoted: unknown, depth: number): unknown {
  if (Array.isArray(plain) && Array.isArray(quoted) && depth <= 16)
    return plain.map((item, index) => merge(item, quoted[index], depth + 1));
  return typeof plain === "number" && typeof quoted === "string" ? BigInt(quoted) : plain;
}
