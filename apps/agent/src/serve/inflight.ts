import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";

/*
 * A native crash leaves no message, so the process notes what it does before it does it: one fixed record per load in
 * a small file, one byte changed by one pwrite. The page cache survives the process, which is all that is needed; after
 * a power cut the file says nothing, and nothing is asked of it.
 */

export type Activity = "loading" | "running";

export interface InflightLoad {
  readonly loadId: string;
  readonly activity: Activity;
}

const recordBytes = 72;
const maxIdBytes = 64;
export const maxLoads = 64;

const idle = 1;
const states: readonly (Activity | undefined)[] = [undefined, undefined, "loading", "running"];

/** Loads that were loading or running when the process wrote last. Empty when there is no such file. */
export function readInflightLoads(path: string): InflightLoad[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return [];
  }
  const loads: InflightLoad[] = [];
  for (let offset = 0; offset + recordBytes <= bytes.length && loads.length < maxLoads; offset += recordBytes) {
    const activity = states[bytes[offset] ?? 0];
    const length = bytes[offset + 1] ?? 0;
    if (activity === undefined || length > maxIdBytes) continue;
    loads.push({ loadId: bytes.toString("utf8", offset + 2, offset + 2 + length), activity });
  }
  return loads;
}

/** One load's record. */
export interface InflightMark {
  /** On the disk's cache when it returns; null, that nothing goes on, a turn of the event loop later: the answer goes first. */
  set(activity: Activity | null): void;
  /** Frees the record for another load. */
  release(): void;
}

export interface InflightFile {
  /** Takes a free record, or returns null when all 64 are taken. */
  claim(loadId: string): InflightMark | null;
  close(): void;
}

/** Creates the file empty; the supervisor has read the old one before it starts this process. */
export function openInflightFile(path: string): InflightFile {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  writeSync(fd, Buffer.alloc(recordBytes * maxLoads), 0, recordBytes * maxLoads, 0);
  const taken = new Set<number>();
  const toByte = [0, 1, 2, 3].map((state) => Uint8Array.of(state));
  const write = (index: number, state: number) => {
    const byte = toByte[state];
    if (byte !== undefined) writeSync(fd, byte, 0, 1, index * recordBytes);
  };
  return {
    claim(loadId) {
      const index = Array.from({ length: maxLoads }, (_, candidate) => candidate).find((free) => !taken.has(free));
      if (index === undefined) return null;
      taken.add(index);
      const record = Buffer.alloc(recordBytes);
      record[0] = idle;
      record[1] = record.write(loadId, 2, maxIdBytes);
      writeSync(fd, record, 0, recordBytes, index * recordBytes);
      let ending: NodeJS.Immediate | undefined;
      let written = idle;
      const mark = (state: number) => {
        if (state !== written) write(index, state);
        written = state;
      };
      return {
        set(activity) {
          clearImmediate(ending);
          // Under load the next run begins before the idle mark is due: then both would cost a system call for nothing.
          if (activity === null) ending = setImmediate(() => mark(idle));
          else mark(states.indexOf(activity));
        },
        release() {
          clearImmediate(ending);
          write(index, 0);
          taken.delete(index);
        },
      };
    },
    close: () => closeSync(fd),
  };
}
