import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import type { BodyMemory } from "./body-memory.ts";
import { ServeError } from "./serving-error.ts";

const decoders = { gzip: promisify(gunzip), deflate: promisify(inflate) } as const;

export interface BodyOptions {
  /** Applies to the bytes on the wire and to what they decode to. */
  readonly maxBytes: number;
  /** Length of the JSON part; the first tensor begins behind it and is put on a multiple of 8. */
  readonly jsonBytes: number | null;
  readonly memory: BodyMemory;
}

/**
 * The body in memory of its own, so that it can move to the runtime's thread, with the first binary tensor aligned for
 * every datatype: then no tensor is copied again.
 */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<Uint8Array> {
  const encoding = request.headers["content-encoding"] ?? "identity";
  const declared = request.headers["content-length"];
  const lengthBytes = declared === undefined ? null : Number(declared);
  if (lengthBytes !== null && lengthBytes > options.maxBytes) throw tooLarge(options.maxBytes);
  if (encoding === "identity") {
    return lengthBytes === null
      ? align(await collect(request, options.maxBytes), options)
      : await fill(request, allocate(lengthBytes, options));
  }
  if (encoding !== "gzip" && encoding !== "deflate") {
    throw new ServeError("body_encoding", `content encoding '${encoding.slice(0, 64)}' is not supported`);
  }
  const packed = await collect(request, options.maxBytes);
  try {
    return align(await decoders[encoding](packed, { maxOutputLength: options.maxBytes }), options);
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(options.maxBytes);
    throw new ServeError("body_encoding", `the body is no ${encoding}`, error);
  }
}

function tooLarge(maxBytes: number): ServeError {
  return new ServeError("body_too_large", `the body is larger than ${maxBytes} bytes`);
}

function allocate(lengthBytes: number, { jsonBytes, memory }: BodyOptions): Buffer {
  const shift = (8 - ((jsonBytes ?? 0) % 8)) % 8;
  return Buffer.from(memory.take(shift + lengthBytes), shift, lengthBytes);
}

function align(bytes: Buffer, options: BodyOptions): Buffer {
  const aligned = allocate(bytes.length, options);
  aligned.set(bytes);
  return aligned;
}

function fill(request: IncomingMessage, target: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      target.set(chunk, length); // Node holds the body to its Content-Length
      length += chunk.length;
    });
    request.on("end", () => resolve(target.subarray(0, length)));
    request.on("error", (error) => reject(new ServeError("client_gone", "the client went away", error)));
  });
}

function collect(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
      else {
        chunks.length = 0;
        request.pause();
        reject(tooLarge(maxBytes));
      }
    });
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", (error) => reject(new ServeError("client_gone", "the client went away", error)));
  });
}
