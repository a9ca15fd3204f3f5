import { readSync } from "node:fs";

/** Random access to the bytes of a model, without holding them. */
export interface ByteSource {
  readonly sizeBytes: number;
  /** The bytes from `position`: at least `length` of them unless the source ends before. Valid until the next call. */
  view(position: number, length: number): Uint8Array;
}

export function createMemorySource(bytes: Uint8Array): ByteSource {
  return { sizeBytes: bytes.length, view: (position) => bytes.subarray(position) };
}

const windowBytes = 65_536;

/** Reads windows of 64 KiB from an open file, so that a model of any size is walked in constant memory. */
export function createFileSource(fd: number, sizeBytes: number): ByteSource {
  const window = new Uint8Array(windowBytes);
  let start = 0;
  let end = 0;
  return {
    sizeBytes,
    view(position, length) {
      if (position < start || position + length > end) {
        start = position;
        end = position;
        while (end - start < Math.min(windowBytes, sizeBytes - start)) {
          const count = readSync(fd, window, end - start, windowBytes - (end - start), end);
          if (count === 0) break;
          end += count;
        }
      }
      return window.subarray(position - start, end - start);
    },
  };
}
