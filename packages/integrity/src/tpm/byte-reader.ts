import { CodedError } from "@fairlead/kernel";

export type TpmErrorCode = "tpm_malformed" | "endorsement_unsupported" | "attestation_refused";

export function refuseBytes(what: string): never {
  throw new CodedError<TpmErrorCode>("tpm_malformed", `the TPM structure is malformed: ${what}`);
}

/** Reads a TPM structure (big-endian, TPM 2.0 Part 2 clause 4) and refuses to read beyond its end. */
export class ByteReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(sizeBytes: number): Buffer {
    const end = this.#at + sizeBytes;
    if (end > this.#bytes.length) refuseBytes(`it ends ${end - this.#bytes.length} bytes early`);
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  u16(): number {
    return this.take(2).readUInt16BE();
  }

  u32(): number {
    return this.take(4).readUInt32BE();
  }

  /** A `TPM2B_…`: 16 bits of length, then that many bytes. */
  sized(maxBytes: number): Buffer {
    const size = this.u16();
    if (size > maxBytes) refuseBytes(`a part has ${size} bytes, more than ${maxBytes}`);
    return this.take(size);
  }

  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) refuseBytes(`${left} bytes follow its end`);
  }
}

/** A `TPM2B_…` of these bytes. */
export function toSized(bytes: Uint8Array): Buffer {
  const size = Buffer.alloc(2);
  size.writeUInt16BE(bytes.length);
  return Buffer.concat([size, bytes]);
}
