import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SharedRange } from "@fairlead/inference";
import type { BodyMemory } from "./body-memory.ts";
import { ServeError } from "./serving-error.ts";

const maxRegions = 64;
/** A POSIX shared memory object: one name, with or without the slash that shm_open(3) asks for; never a path. */
const keyForm = /^\/?([A-Za-z0-9_][A-Za-z0-9._-]{0,200})$/u;
const nameForm = /^[^\0/]{1,256}$/u;

interface Region {
  readonly key: string;
  readonly offset: number;
  readonly byteSize: number;
  readonly descriptor: number;
  /** Whether this user may write to the object. */
  readonly writable: boolean;
  /** The object itself, which can have two names and be in two regions. */
  readonly object: string;
}

export interface RegionDocument {
  readonly name: string;
  readonly key: string;
  readonly offset: number;
  readonly byte_size: number;
}

export interface SharedRegionsOptions {
  /** Local policy. Whoever reaches the endpoint may read and write what it registers, as this process's user. */
  readonly allowed: boolean;
  /** Where the system keeps shared memory objects; Linux: /dev/shm. */
  readonly folder: string;
}

/**
 * Triton's system shared memory extension: a client on this machine names a region and its requests name bytes in it, so
 * that a camera's frame and a mask of its size do not go through a socket. Inputs are copied once, before they are checked
 * and run: a client that writes on meanwhile changes nothing that runs, and outputs may go where the inputs came from.
 */
export class SharedRegions {
  readonly #options: SharedRegionsOptions;
  readonly #regions = new Map<string, Region>();

  constructor(options: SharedRegionsOptions) {
    this.#options = options;
  }

  get allowed(): boolean {
    return this.#options.allowed;
  }

  /** @throws ServeError `policy_refused` */
  #checkAllowed(): void {
    if (this.allowed) return;
    throw new ServeError(
      "policy_refused",
      "shared memory is not allowed on this device: set inference.sharedMemory to allow in config.yaml",
    );
  }

  /** @throws ServeError `request_invalid` when the name is taken, or the object is missing, no memory or too small */
  register(name: string, document: unknown): void {
    this.#checkAllowed();
    if (!nameForm.test(name)) throw invalid("the name of a shared memory region has 1 to 256 characters");
    if (this.#regions.has(name)) throw invalid(`shared memory region '${name}' already in manager`);
    if (this.#regions.size >= maxRegions) throw invalid(`there are ${maxRegions} shared memory regions already`);
    const given: Readonly<Record<string, unknown>> =
      typeof document === "object" && document !== null ? { ...document } : {};
    const { key } = given;
    const object = typeof key === "string" ? keyForm.exec(key)?.[1] : undefined;
    if (typeof key !== "string" || object === undefined) throw invalid("'key' is no name of a shared memory object");
    const offset = toCount(given["offset"] ?? 0, "offset");
    const byteSize = toCount(given["byte_size"], "byte_size");
    const { descriptor, writable } = this.#open(object, key);
    const { size, dev, ino } = fstatSync(descriptor);
    if (byteSize === 0 || offset + byteSize > size) {
      closeSync(descriptor);
      throw invalid(`shared memory '${key}' has ${size} bytes, the region asks for ${offset} + ${byteSize}`);
    }
    this.#regions.set(name, { key, offset, byteSize, descriptor, writable, object: `${dev}:${ino}` });
  }

  #open(object: string, key: string): Pick<Region, "descriptor" | "writable"> {
    const path = join(this.#options.folder, object);
    // A named semaphore lies there too (sem_overview(7)), and has its users.
    if (object.startsWith("sem.")) throw invalid(`'${key}' is no shared memory object`);
    const opened = tryOpen(path, constants.O_RDWR) ?? tryOpen(path, constants.O_RDONLY);
    if (opened === null) throw invalid(`unable to open shared memory '${key}'`);
    if (fstatSync(opened.descriptor).isFile()) return opened;
    closeSync(opened.descriptor);
    throw invalid(`'${key}' is no shared memory object`);
  }

  /** Null for all. What is not registered is gone already. */
  unregister(name: string | null): void {
    this.#checkAllowed();
    const names = name === null ? [...this.#regions.keys()] : [name];
    for (const one of names) {
      const region = this.#regions.get(one);
      if (region !== undefined) closeSync(region.descriptor);
      this.#regions.delete(one);
    }
  }

  /** Null for all. @throws ServeError `request_invalid` for a name that is not registered */
  list(name: string | null): readonly RegionDocument[] {
    this.#checkAllowed();
    if (name !== null && !this.#regions.has(name))
      throw invalid(`Unable to find system shared memory region: '${name}'`);
    return [...this.#regions]
      .filter(([one]) => name === null || one === name)
      .map(([one, { key, offset, byteSize }]) => ({ name: one, key, offset, byte_size: byteSize }));
  }

  /** What one request reads of its regions, at most `maxBytes` in all. */
  createReader(memory: BodyMemory, maxBytes: number): (range: SharedRange) => Uint8Array {
    let leftBytes = maxBytes;
    return (range) => {
      this.#checkAllowed();
      leftBytes -= range.byteSize;
      if (leftBytes < 0) throw new ServeError("body_too_large", `the tensors are larger than ${maxBytes} bytes`);
      return this.#read(range, memory);
    };
  }

  #find({ region: name, offset, byteSize }: SharedRange): Region {
    const region = this.#regions.get(name);
    if (region === undefined) throw invalid(`Unable to find shared memory region: '${name.slice(0, 256)}'`);
    if (offset + byteSize > region.byteSize)
      throw invalid(`shared memory region '${name}' has ${region.byteSize} bytes, asked were ${offset} + ${byteSize}`);
    return region;
  }

  /**
   * Whether outputs can go to these places, as far as it is known before they are there: `write` looks again.
   * @throws ServeError `request_invalid` · `policy_refused`
   */
  checkWritable(ranges: readonly SharedRange[]): void {
    this.#checkAllowed();
    const places = ranges.map((range) => {
      const { object, offset } = this.#findWritable(range);
      const from = offset + range.offset;
      return { object, from, to: from + range.byteSize, name: range.region };
    });
    const ordered = places.toSorted((left, right) => left.from - right.from);
    const ends = new Map<string, number>();
    for (const { object, from, to, name } of ordered) {
      if (from < (ends.get(object) ?? 0)) throw invalid(`two outputs share bytes of shared memory region '${name}'`);
      ends.set(object, to);
    }
  }

  #findWritable(range: SharedRange): Region {
    const region = this.#find(range);
    if (region.writable) return region;
    throw invalid(`shared memory region '${range.region}' may only be read`);
  }

  /** Puts an output at the beginning of its place. @throws ServeError `request_invalid` · `policy_refused` */
  write(range: SharedRange, bytes: Uint8Array): void {
    this.#checkAllowed();
    const { region: name, offset, byteSize } = range;
    const region = this.#findWritable(range);
    if (bytes.byteLength > byteSize)
      throw invalid(`the output has ${bytes.byteLength} bytes, its place in region '${name}' has ${byteSize}`);
    const position = region.offset + offset;
    // Beyond its end the object would grow, by memory that nobody asked for.
    if (position + bytes.byteLength > fstatSync(region.descriptor).size)
      throw invalid(`shared memory region '${name}' has become smaller than the place of the output`);
    let written = 0;
    try {
      if (bytes.byteLength > 0) written = writeSync(region.descriptor, bytes, 0, bytes.byteLength, position);
    } catch (error) {
      throw new ServeError("request_invalid", `unable to write to shared memory region '${name}'`, error);
    }
    if (written !== bytes.byteLength) throw invalid(`shared memory region '${name}' has no memory for the output`);
  }

  #read({ region: name, offset, byteSize }: SharedRange, memory: BodyMemory): Uint8Array {
    const region = this.#find({ region: name, offset, byteSize });
    const bytes = Buffer.from(memory.take(byteSize), 0, byteSize);
    const read = byteSize === 0 ? 0 : readSync(region.descriptor, bytes, 0, byteSize, region.offset + offset);
    if (read === byteSize) return bytes;
    throw invalid(`shared memory region '${name}' has become smaller: ${read} of ${byteSize} bytes are there`);
  }
}

/** Neither a link to elsewhere nor the wait for the other end of a pipe. */
function tryOpen(path: string, mode: number): Pick<Region, "descriptor" | "writable"> | null {
  try {
    const descriptor = openSync(path, mode | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    return { descriptor, writable: mode === constants.O_RDWR };
  } catch {
    return null;
  }
}

function toCount(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || Number(value) < 0 || Number(value) > 2 ** 40)
    throw invalid(`'${name}' is no count`);
  return Number(value);
}

function invalid(message: string): ServeError {
  return new ServeError("request_invalid", message);
}
