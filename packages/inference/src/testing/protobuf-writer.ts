/** Builds protobuf messages byte by byte: the opposite of the reader in onnx/wire.ts, for tests and load generators. */
export class ProtobufWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  #push(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }

  #varint(value: number | bigint): this {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      bytes.push(rest === 0n ? low : low | 0x80);
    } while (rest !== 0n);
    return this.#push(Uint8Array.from(bytes));
  }

  /** Wire type 0: int32, int64, bool, enum. */
  int(field: number, value: number | bigint): this {
    return this.#varint(field * 8).#varint(value);
  }

  /** Wire type 5: float. */
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#varint(field * 8 + 5).#push(bytes);
  }

  /** Wire type 1 or 5: eight or four bytes as they are. */
  fixed(field: number, value: Uint8Array): this {
    return this.#varint(field * 8 + (value.length === 8 ? 1 : 5)).#push(value);
  }

  /** Wire type 2: bytes or an embedded message that is already encoded. */
  bytes(field: number, value: Uint8Array): this {
    return this.#varint(field * 8 + 2).#varint(value.length).#push(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: ProtobufWriter): this {
    return this.bytes(field, value.finish());
  }

  finish(): Uint8Array<ArrayBuffer> {
    const whole = new Uint8Array(this.#length);
    let position = 0;
    for (const part of this.#parts) {
      whole.set(part, position);
      position += part.length;
    }
    return whole;
  }
}
