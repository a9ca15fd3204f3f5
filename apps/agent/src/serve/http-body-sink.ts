import { freeNow, type BodyMemory } from "./body-memory.ts";
import type { BodyHold } from "./http-body-budget.ts";
import { ServeError } from "./serving-error.ts";

/** A body that declares no more gets its memory at once, as long as the budget has plenty: a camera's frame is not copied. */
const maxAheadBytes = 4_194_304;
/** Two thousand connections that send a few bytes each take 32 MB. */
const firstBytes = 16_384;
/** How a large body is counted as it fills its memory. */
const stepBytes = 1_048_576;

export interface BodySinkOptions {
  /** Most that the body may have. */
  readonly maxBytes: number;
  /** Length of the JSON part; the first tensor begins behind it and is put on a multiple of 8. */
  readonly jsonBytes: number | null;
  readonly memory: BodyMemory;
  readonly hold: BodyHold;
}

/**
 * Gathers a body in one piece of memory that grows with what has arrived, whatever was declared. Two million bytes into it, its
 * memory is as large as it may become: pages that nothing was written to are nobody's, so that only what arrived counts, and
 * allocating so much costs a collection of garbage, which a few bytes should not bring about. Kept as a list, chunks of one
 * byte would take a hundred each.
 */
export class BodySink {
  readonly #options: BodySinkOptions;
  readonly #shift: number;
  /** Most that this body can be. */
  readonly #maxBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  #heldBytes = 0;

  /** @param declaredBytes null where nobody says */
  constructor(options: BodySinkOptions, declaredBytes: number | null) {
    const { jsonBytes, hold, maxBytes } = options;
    this.#options = options;
    this.#shift = (8 - ((jsonBytes ?? 0) % 8)) % 8;
    this.#maxBytes = declaredBytes ?? maxBytes;
    if (declaredBytes === null || declaredBytes > maxAheadBytes || !hold.tryAhead(declaredBytes)) return;
    this.#heldBytes = declaredBytes;
    this.#bytes = this.#allocate(declaredBytes);
  }

  #allocate(bytes: number): Buffer {
    return Buffer.from(this.#options.memory.take(this.#shift + bytes), this.#shift, bytes);
  }

  /** @throws ServeError `body_too_large` · `overloaded` */
  push(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (length > this.#bytes.length) this.#grow(length);
    if (length > this.#heldBytes) this.#hold(Math.min(this.#bytes.length, length + stepBytes));
    this.#bytes.set(chunk, this.#length);
    this.#length = length;
  }

  #grow(length: number): void {
    const { maxBytes } = this.#options;
    if (length > this.#maxBytes) throw new ServeError("body_too_large", `the body is larger than ${maxBytes} bytes`);
    const wanted = Math.max(firstBytes, 2 * length);
    const capacity = wanted > maxAheadBytes ? this.#maxBytes : Math.min(wanted, this.#maxBytes);
    if (capacity <= maxAheadBytes) this.#hold(capacity);
    const before = this.#bytes;
    this.#bytes = this.#allocate(capacity);
    this.#bytes.set(before.subarray(0, this.#length));
    if (before.length > 0) freeNow(new Uint8Array(before.buffer));
  }

  #hold(bytes: number): void {
    this.#options.hold.add(bytes - this.#heldBytes);
    this.#heldBytes = bytes;
  }

  /** Gives the memory up now: what the budget counts as free must not wait for a collection. */
  abandon(): void {
    if (this.#bytes.length > 0) freeNow(new Uint8Array(this.#bytes.buffer));
    this.#bytes = Buffer.alloc(0);
  }

  /** What has arrived. From here on the memory is the caller's, whatever becomes of the client. */
  finish(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }
}
