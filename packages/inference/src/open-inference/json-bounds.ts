import { ProtocolError } from "./protocol-error.ts";

/*
 * What a request's JSON may consist of. JSON.parse makes ten to fifty bytes of heap out of every byte of text, on the thread that
 * reads everybody's requests: 6 MB of empty objects took it two seconds, 24 MB ended the process. So it is counted before it is read.
 */

/** A million numbers as float32 prints them: a quarter of a second. With the digits of doubles they belong into a binary tensor. */
const maxJsonBytes = 12_582_912;
/** Shorter documents are read as they are: nothing that they can hold takes a millisecond. */
const maxUncountedBytes = 4_096;
/** Of a request's JSON, and of an answer's. */
export const maxJsonValues = 1_048_576;
/** Each is an object on the heap: a million took 1.3 s. Names of members are strings too. */
const maxStrings = 131_072;
/** The rows of an image of 224 pixels whose innermost arrays are its channels are 50,401. */
const maxArrays = 131_072;
/** 256 inputs and 256 outputs with their parameters are 1,025. */
const maxObjects = 4_096;
/** Each name is looked up in the table of all names, and a large object becomes a table of its own. */
const maxMembers = 16_384;
/** Data may be nested 17 levels deep, in an input, in the list of inputs, in the request. */
const maxDepth = 64;

export interface JsonCounts {
  /** Everything that stands where a value may stand; an empty array or object counts as if it held one more. */
  readonly values: number;
  readonly strings: number;
  readonly arrays: number;
  readonly objects: number;
  /** Name and value pairs of all objects. */
  readonly members: number;
  readonly depth: number;
}

const quote = 0x22;
const backslash = 0x5c;
/** Which bytes mean something outside of a string; all others are skipped. */
const marks = new Uint8Array(256);
for (const mark of '",:[]{}') marks[mark.charCodeAt(0)] = 1;

/**
 * Counts by one pass over the bytes, one nanosecond each, without reading any value. Right for every valid document, and for
 * every other one up to where JSON.parse stops.
 */
export function countJson(bytes: Uint8Array): JsonCounts {
  let [values, strings, arrays, objects, members, depth, deepest] = [1, 0, 0, 0, 0, 0, 0];
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (marks[byte] === 0) continue;
    switch (byte) {
      case quote:
        strings += 1;
        index += 1;
        while (index < bytes.length && bytes[index] !== quote) index += bytes[index] === backslash ? 2 : 1;
        break;
      case 0x2c: // ,
        values += 1;
        break;
      case 0x3a: // :
        members += 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        values += 1;
        if (byte === 0x7b) objects += 1;
        else arrays += 1;
        depth += 1;
        if (depth > deepest) deepest = depth;
        break;
      default: // ] }
        depth -= 1;
    }
  }
  return { values, strings, arrays, objects, members, depth: deepest };
}

/** @throws ProtocolError `request_too_large` · `request_malformed` for JSON that is not to be parsed */
export function checkJsonBounds(bytes: Uint8Array): void {
  if (bytes.length <= maxUncountedBytes) return;
  if (bytes.length > maxJsonBytes) throw tooLarge(`${bytes.length} bytes`, `${maxJsonBytes} bytes`);
  const { values, strings, arrays, objects, members, depth } = countJson(bytes);
  if (values > maxJsonValues) throw tooLarge(`${values} values`, maxJsonValues);
  if (strings > maxStrings) throw tooLarge(`${strings} strings`, maxStrings);
  if (arrays > maxArrays) throw tooLarge(`${arrays} arrays`, maxArrays);
  if (objects > maxObjects) throw tooLarge(`${objects} objects`, maxObjects);
  if (members > maxMembers) throw tooLarge(`${members} members of objects`, maxMembers);
  if (depth > maxDepth)
    throw new ProtocolError("request_malformed", `the request's JSON is nested deeper than ${maxDepth} levels`);
}

/**
 * No memory is taken for a shape whose elements no JSON that was read can hold.
 * @throws ProtocolError `request_malformed`
 */
export function checkJsonElements(name: string, count: number): void {
  if (count <= maxJsonValues) return;
  const message = `unexpected number of elements for input '${name}', expecting ${count}: JSON has at most ${maxJsonValues}`;
  throw new ProtocolError("request_malformed", message);
}

function tooLarge(found: string, most: string | number): ProtocolError {
  return new ProtocolError(
    "request_too_large",
    `the request's JSON has ${found}, at most ${most} are read; send tensors as binary data ` +
      "(parameters.binary_data_size and the header Inference-Header-Content-Length)",
  );
}
