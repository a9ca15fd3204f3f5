import type { IncomingMessage } from "node:http";
import type { Transform } from "node:stream";
import { createGunzip, createInflate } from "node:zlib";
import { freeNow, type BodyMemory } from "./body-memory.ts";
import type { BodyBudget, BodyHold } from "./http-body-budget.ts";
import { BodySink } from "./http-body-sink.ts";
import { ServeError } from "./serving-error.ts";

/** Bytes per step of decompression, and what a decoder holds beside them. */
const decoderChunkBytes = 32_768;
const decoderBytes = 98_304;
const decoders = { gzip: createGunzip, "x-gzip": createGunzip, deflate: createInflate } as const;
type Coding = keyof typeof decoders;

/** Smaller chunks are cheaper left to a collection of garbage than given up. */
const freedBytes = 16_384;

/** Documents that manage something: a few names. */
const maxDocumentBytes = 65_536;

export interface BodyOptions {
  /** Applies to the bytes on the wire and to what they decode to. */
  readonly maxBytes: number;
  /** Length of the JSON part; the first tensor begins behind it and is put on a multiple of 8. */
  readonly jsonBytes: number | null;
  readonly memory: BodyMemory;
  /** Counts what is read; to be released once it is no longer needed. */
  readonly hold: BodyHold;
}

/**
 * The body in memory of its own, so that it can move to the runtime's thread, with the first binary tensor aligned for
 * every datatype: then no tensor is copied again. Chunks are given up as soon as they are copied: the next one then lies where
 * the last one did, in the processor's cache, and none of them has to be collected.
 * @throws ServeError `body_too_large` · `body_encoding` · `overloaded` · `client_gone`
 */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<Uint8Array> {
  const coding = parseCoding(request.headers["content-encoding"]);
  const declared = request.headers["content-length"];
  const lengthBytes = declared === undefined ? null : Number(declared);
  if (lengthBytes !== null && lengthBytes > options.maxBytes) throw tooLarge(options.maxBytes);
  const { hold } = options;
  if (coding === null) return await pour(request, { sink: new BodySink(options, lengthBytes), hold });
  hold.add(decoderBytes);
  return await decode(request, { ...options, coding });
}

export interface DocumentContext {
  readonly memory: BodyMemory;
  readonly bodies: BodyBudget;
}

/** A body that is read at once and then forgotten. */
export async function readSmallBody(
  request: IncomingMessage,
  { memory, bodies }: DocumentContext,
): Promise<Uint8Array> {
  const hold = bodies.open();
  try {
    return await readBody(request, { maxBytes: maxDocumentBytes, jsonBytes: null, memory, hold });
  } finally {
    hold.release();
  }
}

/** Codings are names without case, in a list (RFC 9110, section 8.4); two of them after one another are nobody's. */
function parseCoding(header: string | undefined): Coding | null {
  if (header === undefined) return null;
  const names = header.split(",").map((name) => name.trim().toLowerCase());
  const [name, second] = names.filter((one) => one !== "" && one !== "identity");
  if (name === undefined) return null;
  if (second === undefined && isCoding(name)) return name;
  throw new ServeError("body_encoding", `content encoding '${header.slice(0, 64)}' is not supported`);
}

function isCoding(name: string): name is Coding {
  return Object.hasOwn(decoders, name);
}

function tooLarge(maxBytes: number): ServeError {
  return new ServeError("body_too_large", `the body is larger than ${maxBytes} bytes`);
}

function pour(
  request: IncomingMessage,
  { sink, hold }: { readonly sink: BodySink; readonly hold: BodyHold },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let refused = false;
    const refuse = (error: unknown): void => {
      refused = true;
      sink.abandon();
      reject(error as ServeError);
    };
    request.on("data", (chunk: Buffer) => {
      if (refused) return;
      try {
        sink.push(chunk);
        if (chunk.length >= freedBytes) freeNow(chunk);
      } catch (error) {
        refuse(error);
      }
    });
    request.on("end", () => {
      hold.arrived();
      if (!refused) resolve(sink.finish());
    });
    request.on("error", (error) => refuse(new ServeError("client_gone", "the client went away", error)));
    hold.arriving(refuse);
  });
}

/** Step by step, so that a small body that decodes to a large one takes no more memory than the budget has. */
function decode(
  request: IncomingMessage,
  { coding, ...options }: BodyOptions & { readonly coding: Coding },
): Promise<Buffer> {
  const decoder: Transform = decoders[coding]({ chunkSize: decoderChunkBytes });
  const sink = new BodySink(options, null);
  return new Promise((resolve, reject) => {
    let wireBytes = 0;
    let refused = false;
    const finish = (): void => {
      options.hold.arrived();
      if (!refused) resolve(sink.finish());
    };
    const refuse = (error: unknown): void => {
      refused = true;
      request.unpipe(decoder);
      decoder.destroy();
      sink.abandon();
      reject(error as ServeError);
    };
    request.on("data", (chunk: Buffer) => {
      wireBytes += chunk.length;
      if (wireBytes > options.maxBytes) refuse(tooLarge(options.maxBytes));
    });
    request.on("error", (error) => refuse(new ServeError("client_gone", "the client went away", error)));
    decoder.on("data", (chunk: Buffer) => {
      try {
        sink.push(chunk);
      } catch (error) {
        refuse(error);
      }
    });
    decoder.on("error", (error) => refuse(new ServeError("body_encoding", `the body is no ${coding}`, error)));
    decoder.on("end", () => {
      // What follows the end of the data is read over.
      request.unpipe(decoder);
      request.resume();
      if (request.readableEnded) finish();
      else request.on("end", finish);
    });
    options.hold.arriving(refuse);
    request.pipe(decoder);
  });
}
