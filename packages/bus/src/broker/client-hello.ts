/** A client's first TLS message is some hundred bytes long, or two thousand with post-quantum keys. */
export const clientHelloBytes = 8_192;
const headerBytes = 5;

/**
 * Judges the first bytes of a connection before any TLS state is made for it: one record that holds one whole
 * ClientHello and nothing after it (RFC 8446 §4.1.2, §5.1). Early data is not offered, so nothing may follow.
 * @returns how many bytes the record has in all, or why the connection must end
 */
export function checkClientHello(bytes: Uint8Array): { readonly wanted: number } | { readonly reason: string } {
  const [type, major, , high = 0, low = 0, message, ...length] = bytes.subarray(0, headerBytes + 4);
  if (type !== undefined && type !== 0x16) return { reason: "the first byte is no TLS handshake" };
  if (major !== undefined && major !== 3) return { reason: "an unknown version of TLS" };
  if (bytes.length < headerBytes) return { wanted: headerBytes };
  const recordBytes = high * 256 + low;
  if (recordBytes < 4 || recordBytes > clientHelloBytes) return { reason: `a first record of ${recordBytes} bytes` };
  if (message !== undefined && message !== 1) return { reason: "the first message is no ClientHello" };
  if (length.length === 3) {
    const [top = 0, middle = 0, bottom = 0] = length;
    if (top * 65_536 + middle * 256 + bottom !== recordBytes - 4) return { reason: "a ClientHello in pieces" };
  }
  const wanted = headerBytes + recordBytes;
  return bytes.length > wanted ? { reason: "bytes after the ClientHello" } : { wanted };
}

/** Takes the first bytes of a socket, however they are cut, into memory of the ClientHello's own size. */
export class ClientHelloReader {
  #bytes = new Uint8Array(headerBytes);
  #filled = 0;

  /** The whole first record; undefined while more is to come; or why the connection must end. */
  take(chunk: Uint8Array): Uint8Array | { readonly reason: string } | undefined {
    let rest = chunk;
    for (;;) {
      const some = rest.subarray(0, this.#bytes.length - this.#filled);
      this.#bytes.set(some, this.#filled);
      this.#filled += some.length;
      rest = rest.subarray(some.length);
      const verdict = checkClientHello(this.#bytes.subarray(0, this.#filled));
      if ("reason" in verdict) return verdict;
      if (verdict.wanted === this.#filled)
        return rest.length === 0 ? this.#bytes : { reason: "bytes after the ClientHello" };
      if (verdict.wanted > this.#bytes.length) {
        const grown = new Uint8Array(verdict.wanted);
        grown.set(this.#bytes);
        this.#bytes = grown;
      }
      if (rest.length === 0) return undefined;
    }
  }
}
