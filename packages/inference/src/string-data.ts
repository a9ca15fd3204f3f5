/*
 * Tensors of strings (datatype BYTES) are kept as they travel in the binary tensor extension: each element is a
 * little-endian 32-bit length and that many bytes, one element after the other in row-major order.
 */

/** A tensor of a million words is data for a batch job, not for one request; each costs memory beyond its bytes. */
export const maxStrings = 1_048_576;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeStrings(strings: readonly string[]): Uint8Array<ArrayBuffer> {
  const parts = strings.map((text) => Buffer.from(text, "utf8"));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const part of parts) {
    view.setUint32(offset, part.length, true);
    bytes.set(part, offset + 4);
    offset += 4 + part.length;
  }
  return bytes;
}

/** Number of elements; null when the bytes are no whole elements or more than `maxStrings` of them. */
export function countStrings(bytes: Uint8Array): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let offset = 0; offset < bytes.length; count += 1) {
    if (count === maxStrings || offset + 4 > bytes.length) return null;
    offset += 4 + view.getUint32(offset, true);
    if (offset > bytes.length) return null;
  }
  return count;
}

/** The elements as text; null when the bytes are no whole elements, or one of them is no UTF-8. */
export function decodeStrings(bytes: Uint8Array): string[] | null {
  const count = countStrings(bytes);
  if (count === null) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const strings: string[] = [];
  let offset = 0;
  try {
    while (strings.length < count) {
      const length = view.getUint32(offset, true);
      strings.push(decoder.decode(bytes.subarray(offset + 4, offset + 4 + length)));
      offset += 4 + length;
    }
  } catch {
    return null;
  }
  return strings;
}
