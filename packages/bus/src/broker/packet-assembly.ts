/** Enough that the few objects behind a buffer weigh little against its bytes. */
const pieceBytes = 4_096;

/**
 * Holds back small pieces of a packet that is not complete, and hands them on as one. A packet that comes byte by byte
 * would otherwise lie in the codec as as many buffers, each some two hundred bytes heavy.
 */
export class PacketAssembly {
  #held: Buffer | null = null;
  #filled = 0;

  /**
   * @param inside whether a packet is incomplete after this chunk
   * @param push takes what may go on to the codec
   */
  take(chunk: Buffer, inside: boolean, push: (part: Buffer) => void): void {
    if (this.#held === null && (!inside || chunk.length >= pieceBytes)) return push(chunk);
    let rest = chunk;
    while (rest.length > 0) {
      this.#held ??= Buffer.allocUnsafeSlow(pieceBytes);
      const copied = rest.copy(this.#held, this.#filled);
      this.#filled += copied;
      rest = rest.subarray(copied);
      if (this.#filled === pieceBytes) this.#release(push);
    }
    if (!inside) this.#release(push);
  }

  #release(push: (part: Buffer) => void): void {
    if (this.#held === null || this.#filled === 0) return;
    const part = this.#held.subarray(0, this.#filled);
    this.#held = null;
    this.#filled = 0;
    push(part);
  }
}
