import { checkPacketForm, toHeadBytes } from "./packet-form.ts";

/**
 * Reads only the fixed headers of an MQTT byte stream (MQTT 3.1.1 §2.2) and tells when a packet declares more bytes than
 * are admitted, before any of them is kept. The codec itself has no limit.
 */
export interface FrameGuard {
  /** The reason why the stream must end, or undefined while all is well. */
  feed(chunk: Uint8Array): string | undefined;
  admit(maxPacketBytes: number): void;
}

export interface FrameGuardOptions {
  readonly maxPacketBytes: number;
  /** A server expects CONNECT first, and well-formed packets of a client after it; anything else ends the stream. */
  readonly connectFirst: boolean;
}

const connectHeader = 0x10;

/** Collects the bytes of a packet that are looked at, across chunks. */
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

export function createFrameGuard(options: FrameGuardOptions): FrameGuard {
  let maxPacketBytes = options.maxPacketBytes;
  let expectsConnect = options.connectFirst;
  let bodyLeft = 0;
  let inLength = false;
  let length = 0;
  let shift = 0;
  let header = 0;
  let connected = false;
  let head: Head | null = null;

  /** A server looks at what a packet says of itself as soon as it is there. */
  function openHead(): string | undefined {
    if (!options.connectFirst) return undefined;
    const wanted = toHeadBytes(header, length);
    if (typeof wanted === "string") return wanted;
    head = new Head(wanted);
    return closeHead();
  }

  function closeHead(): string | undefined {
    if (head === null || head.missing > 0) return undefined;
    const reason = checkPacketForm(header, head.bytes, connected);
    head = null;
    connected = true;
    return reason;
  }

  function feedLength(byte: number): string | undefined {
    length += (byte & 0x7f) * 2 ** shift;
    if (length > maxPacketBytes) return `a packet declares more than ${maxPacketBytes} bytes`;
    shift += 7;
    if (byte < 0x80) {
      inLength = false;
      bodyLeft = length;
      return openHead();
    }
    return shift > 21 ? "a packet's length has more than four bytes" : undefined;
  }

  function feedHeader(byte: number): string | undefined {
    if (expectsConnect && byte !== connectHeader) return "the first packet is not CONNECT";
    expectsConnect = false;
    header = byte;
    inLength = true;
    length = 0;
    shift = 0;
    return undefined;
  }

  return {
    admit(bytes) {
      maxPacketBytes = bytes;
    },
    feed(chunk) {
      let index = 0;
      while (index < chunk.length) {
        if (bodyLeft > 0) {
          const skipped = Math.min(bodyLeft, chunk.length - index);
          head?.take(chunk.subarray(index, index + skipped));
          const reason = closeHead();
          if (reason !== undefined) return reason;
          bodyLeft -= skipped;
          index += skipped;
          continue;
        }
        const byte = chunk[index] ?? 0;
        index += 1;
        const reason = inLength ? feedLength(byte) : feedHeader(byte);
        if (reason !== undefined) return reason;
      }
      return undefined;
    },
  };
}
