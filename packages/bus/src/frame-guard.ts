import { checkPacketForm, toHeadBytes } from "./packet-form.ts";

/**
 * Reads only the fixed headers of an MQTT byte stream (MQTT 3.1.1 §2.2) and tells when a packet declares more bytes than
 * are admitted, before any of them is kept. The codec itself has no limit.
 */
export interface FrameGuard {
  /** The reason why the stream must end, or undefined while all is well. */
  feed(chunk: Uint8Array): string | undefined;
  admit(maxPacketBytes: number): void;
  /** Is a packet begun and not complete? */
  readonly inside: boolean;
  /** Has a server seen the whole CONNECT? */
  readonly greeted: boolean;
}

export interface FrameGuardOptions {
  readonly maxPacketBytes: number;
  /** A server expects CONNECT first, and well-formed packets of a client after it; anything else ends the stream. */
  readonly connectFirst: boolean;
}

const connectHeader = 0x10;

/** Collects the bytes of a packet that are looked at, when they come in more than one chunk. */
class Head {
  readonly #bytes: Uint8Array;
  #filled = 0;

  constructor(length: number) {
    this.#bytes = new Uint8Array(length);
  }

  get missing(): number {
    return this.#bytes.length - this.#filled;
  }

  take(part: Uint8Array): void {
    const some = part.subarray(0, this.missing);
    this.#bytes.set(some, this.#filled);
    this.#filled += some.length;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }
}

/** A class, since there is one per connection: its state is its fields, its functions are shared. */
class HeaderReader implements FrameGuard {
  readonly #isServer: boolean;
  #maxPacketBytes: number;
  #connected = false;
  #bodyLeft = 0;
  #inLength = false;
  #length = 0;
  #shift = 0;
  #header = 0;
  /** Bytes of the packet's body that are still to be looked at; -1 when that is done. */
  #headWanted = -1;
  #head: Head | null = null;

  constructor(options: FrameGuardOptions) {
    this.#isServer = options.connectFirst;
    this.#maxPacketBytes = options.maxPacketBytes;
  }

  admit(maxPacketBytes: number): void {
    this.#maxPacketBytes = maxPacketBytes;
  }

  get inside(): boolean {
    return this.#bodyLeft > 0 || this.#inLength;
  }

  get greeted(): boolean {
    return this.#connected;
  }

  feed(chunk: Uint8Array): string | undefined {
    let index = 0;
    while (index < chunk.length) {
      let reason: string | undefined;
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, chunk.length - index);
        if (this.#headWanted >= 0) reason = this.#look(chunk, index);
        this.#bodyLeft -= skipped;
        index += skipped;
      } else {
        const byte = chunk[index] ?? 0;
        index += 1;
        reason = this.#inLength ? this.#feedLength(byte) : this.#feedHeader(byte);
      }
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  #feedHeader(byte: number): string | undefined {
    if (this.#isServer && !this.#connected && byte !== connectHeader) return "the first packet is not CONNECT";
    this.#header = byte;
    this.#inLength = true;
    this.#length = 0;
    this.#shift = 0;
    return undefined;
  }

  #feedLength(byte: number): string | undefined {
    this.#length += (byte & 0x7f) * 2 ** this.#shift;
    if (this.#length > this.#maxPacketBytes) return `a packet declares more than ${this.#maxPacketBytes} bytes`;
    this.#shift += 7;
    if (byte >= 0x80) return this.#shift > 21 ? "a packet's length has more than four bytes" : undefined;
    this.#inLength = false;
    this.#bodyLeft = this.#length;
    return this.#openHead();
  }

  /** A server looks at what a packet says of itself as soon as it is there. */
  #openHead(): string | undefined {
    if (!this.#isServer) return undefined;
    const wanted = toHeadBytes(this.#header, this.#length);
    if (typeof wanted === "string") return wanted;
    this.#headWanted = wanted;
    return wanted === 0 ? this.#judge(new Uint8Array()) : undefined;
  }

  /** Most packets lie in one chunk and are looked at where they lie. */
  #look(chunk: Uint8Array, index: number): string | undefined {
    if (this.#head === null && chunk.length - index >= this.#headWanted)
      return this.#judge(chunk.subarray(index, index + this.#headWanted));
    this.#head ??= new Head(this.#headWanted);
    this.#head.take(chunk.subarray(index, index + this.#bodyLeft));
    return this.#head.missing === 0 ? this.#judge(this.#head.bytes) : undefined;
  }

  #judge(bytes: Uint8Array): string | undefined {
    const reason = checkPacketForm(this.#header, bytes, this.#connected);
    this.#headWanted = -1;
    this.#head = null;
    this.#connected = true;
    return reason;
  }
}

export function createFrameGuard(options: FrameGuardOptions): FrameGuard {
  return new HeaderReader(options);
}
