import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
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
}

export interface RegionDocument {
  readonly name: string;
  readonly key: string;
  readonly offset: number;
  readonly byte_size: number;
}

export interface SharedRegionsOptions {
  /** Local policy. Whoever reaches the endpoint may read what it registers, as this process's user. */
  readonly allowed: boolean;
  /** Where the system keeps shared memory objects; Linux: /dev/shm. */
  readonly folder: string;
}

/**
 * Triton's system shared memory extension, for inputs: a client on this machine names a region and its requests name
 * bytes in it, so that a camera's frame does not go through a socket. The bytes are copied once, before they are
 * checked and run: a client that writes on meanwhile changes nothing that runs.
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
    const descriptor = this.#open(object, key);
    const { size } = fstatSync(descriptor);
    if (byteSize === 0 || offset + byteSize > size) {
      closeSync(descriptor);
      throw invalid(`shared memory '${key}' has ${size} bytes, the region asks for ${offset} + ${byteSize}`);
    }
    this.#regions.set(name, { key, offset, byteSize, descriptor });
  }

  #open(object: string, key: string): number {
    let descriptor: number;
    try {
      // Neither a link to elsewhere nor the wait for the other end of a pipe.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      descriptor = openSync(join(this.#options.folder, object), flags);
    } catch (error) {
      throw new ServeError("request_invalid", `unable to open shared memory '${key}'`, error);
    }
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
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

  #read({ region: name, offset, byteSize }: SharedRange, memory: BodyMemory): Uint8Array {
    const region = this.#regions.get(name);
    if (region === undefined) throw invalid(`Unable to find shared memory region: '${name.slice(0, 256)}'`);
    if (offset + byteSize > region.byteSize)
      throw invalid(`shared memory region '${name}' has ${region.byteSize} bytes, asked were ${offset} + ${byteSize}`);
    const bytes = Buffer.from(memory.take(byteSize), 0, byteSize);
    const read = byteSize === 0 ? 0 : readSync(region.descriptor, bytes, 0, byteSize, region.offset + offset);
    if (read === byteSize) return bytes;
    throw invalid(`shared memory region '${name}' has become smaller: ${read} of ${byteSize} bytes are there`);
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
