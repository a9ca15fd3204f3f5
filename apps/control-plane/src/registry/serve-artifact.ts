import { Readable } from "node:stream";
import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import type { ArtifactRow } from "@fairlead/store";
import { toProblem, toProblemResponse } from "../http/error-map.ts";
import type { ArtifactFiles } from "./artifact-files.ts";
import { isTagListed, parseByteRange, type ByteRange } from "./byte-range.ts";

export interface ServeRequest {
  readonly method: string;
  readonly headers: Headers;
  readonly path: string;
}

function toRange(request: ServeRequest, etag: string, sizeBytes: number): ByteRange {
  const { headers, method } = request;
  const ifRange = headers.get("if-range");
  // A part is sent only to who holds the rest of the very same bytes; dates are no proof of that (RFC 9110 §13.1.5).
  if (method !== "GET" || (ifRange !== null && ifRange.trim() !== `"${etag}"`)) return { kind: "whole" };
  return parseByteRange(headers.get("range"), sizeBytes);
}

/**
 * Answers GET and HEAD for one artifact: conditions first (RFC 9110 §13.2.2), then the range, then bytes straight from
 * the disk at the speed of the reader.
 */
export async function serveArtifact(files: ArtifactFiles, row: ArtifactRow, request: ServeRequest): Promise<Response> {
  const { digest, sizeBytes } = row;
  const headers = new Headers({
    "accept-ranges": "bytes",
    // The name says the content, so it can never be out of date; it is still for whoever was allowed to ask.
    "cache-control": "private, max-age=31536000, immutable",
    "content-type": "application/octet-stream",
    "x-content-type-options": "nosniff",
    etag: `"${digest}"`,
  });
  const ifMatch = request.headers.get("if-match");
  if (ifMatch !== null && !isTagListed(ifMatch, digest)) {
    throw new CodedError<HttpErrorCode>("precondition_failed", `the artifact is ${digest}`);
  }
  const ifNoneMatch = request.headers.get("if-none-match");
  if (ifNoneMatch !== null && isTagListed(ifNoneMatch.replaceAll("W/", ""), digest)) {
    return new Response(null, { status: 304, headers });
  }
  const range = toRange(request, digest, sizeBytes);
  if (range.kind === "unsatisfiable") {
    const error = new CodedError<HttpErrorCode>("range_not_satisfiable", `the artifact has ${sizeBytes} bytes`);
    return toProblemResponse(toProblem(error, request.path), { "content-range": `bytes */${sizeBytes}` });
  }
  const handle = await files.open(digest, sizeBytes);
  if (handle === undefined) {
    throw new CodedError<HttpErrorCode>("unavailable", `the file of ${digest} is missing on the plane's disk`, {
      hint: "upload the same file again",
    });
  }
  const first = range.kind === "part" ? range.first : 0;
  const last = range.kind === "part" ? range.last : sizeBytes - 1;
  headers.set("content-length", String(last - first + 1));
  if (range.kind === "part") headers.set("content-range", `bytes ${first}-${last}/${sizeBytes}`);
  if (request.method === "HEAD") {
    await handle.close();
    return new Response(null, { status: 200, headers });
  }
  // Closes the file at the end, on an error and when the reader goes away.
  const stream = handle.createReadStream({ start: first, end: last, highWaterMark: 262_144 });
  const body = Readable.toWeb(stream) as ReadableStream<Uint8Array>;
  return new Response(body, { status: range.kind === "part" ? 206 : 200, headers });
}
