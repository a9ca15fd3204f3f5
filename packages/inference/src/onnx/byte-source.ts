import { readSync } from "node:fs";

/** A run of bytes of the source, valid until the next call. */
export interface ByteWindow {
  readonly bytes: Buffer;
  /** Position of its first byte. */
  readonly start: number;
}

/** Random access to the bytes of a model, without holding them. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** Holds `length` bytes from `position`, at most 64 KiB, unless the source ends before. */
  window(position: number, length: number): ByteWindow;
}

export function createMemorySource(bytes: Uint8Array): ByteSource {
  const whole = { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), start: 0 };
  return { sizeBytes: bytes.length, window: () => whole };
}

const windowBytes = 65_536;

/** Reads windows of 64 KiB from an open file, so that a model of any size is walked in constant memory. */
export function createFileSource(fd: number, sizeBytes: number): ByteSource {
  const buffer = Buffer.alloc(windowBytes);
  let window: ByteWindow = { bytes: buffer.subarray(0, 0), start: 0 };
  return {
    sizeBytes,
    window(position, length) {
      const end = window.start + window.bytes.length;
      if (position >= window.start && position + length <= end) return window;
      let filled = 0;
      while (filled < Math.min(windowBytes, sizeBytes - position)) {
        const count = readSync(fd, buffer, filled, windowBytes - filled, position + filled);
        if (count === 0) break;
        filled += count;
      }
      window = { bytes: buffer.subarray(0, filled), start: position };
      return window;
    },
  };
}
