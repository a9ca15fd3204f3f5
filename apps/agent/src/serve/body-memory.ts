/** Where request bodies lie: memory that moves to the runtime's thread and, when it is large, comes back. */
export interface BodyMemory {
  /** At least `length` bytes, with whatever they held before: fill what you use. */
  take(length: number): ArrayBuffer;
  give(buffer: ArrayBuffer): void;
}

const stepBytes = 65_536;

/**
 * Keeps returned buffers up to `maxBytes` in all. Fresh memory for a camera image costs page faults and garbage
 * collections that are as long as a small model's run.
 */
export function createBodyMemory(maxBytes: number): BodyMemory {
  const free: ArrayBuffer[] = [];
  let freeBytes = 0;
  return {
    take(length) {
      if (length < stepBytes) return Buffer.allocUnsafeSlow(length).buffer;
      const wanted = Math.ceil(length / stepBytes) * stepBytes;
      const index = free.findIndex((buffer) => buffer.byteLength === wanted);
      const [found] = index === -1 ? [] : free.splice(index, 1);
      if (found === undefined) return Buffer.allocUnsafeSlow(wanted).buffer;
      freeBytes -= wanted;
      return found;
    },
    give(buffer) {
      if (buffer.byteLength % stepBytes !== 0 || buffer.byteLength > maxBytes) return;
      while (freeBytes + buffer.byteLength > maxBytes && free.length > 0) freeBytes -= free.shift()?.byteLength ?? 0;
      free.push(buffer);
      freeBytes += buffer.byteLength;
    },
  };
}

/**
 * Gives up memory that nothing uses any more, now: as garbage that lies outside of the heap it waits for a collection, which
 * comes after a hundred megabytes of it. Leaves alone what is a part of other memory.
 */
export function freeNow({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}
