import type { HttpBindings } from "@hono/node-server";
import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";
import { createMiddleware } from "hono/factory";

/** What a segment may hold once it is decoded; every name, digest, version and file of the API is made of these. */
const segmentPattern = /^[A-Za-z0-9._~:@+-]{1,256}$/u;

function isPlainSegment(segment: string): boolean {
  let decoded: string;
  try {
    decoded = decodeURIComponent(segment);
  } catch {
    return false;
  }
  return segmentPattern.test(decoded) && !/^\.{1,2}$/u.test(decoded);
}

/**
 * True when a request's target has one reading: a path from the root, no empty, dot or doubly encoded segment, no
 * backslash, no parameter after a semicolon. Two programs that normalise differently then agree on who may call it.
 */
export function isPlainTarget(target: string): boolean {
  const [path = ""] = target.split("?", 1);
  if (!path.startsWith("/") || target.includes("#")) return false;
  return path === "/" || path.slice(1).split("/").every(isPlainSegment);
}

function refuse(message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>("bad_request", message, { hint });
}

/** Judges the request line as it came, before anything normalises it, and so before any route is chosen. */
export const plainRequests = createMiddleware<{ Bindings: HttpBindings }>(async (context, next) => {
  const { incoming } = context.env;
  if (!isPlainTarget(incoming.url ?? "")) {
    refuse("the path is not in its plain form", "write each segment once encoded, without empty or dot segments");
  }
  const { method, headers } = incoming;
  const hasBody = headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
  // Nobody reads it, so nothing would bound it.
  if ((method === "GET" || method === "HEAD") && hasBody) {
    context.header("connection", "close");
    refuse("a GET request has no body", "leave it away");
  }
  await next();
});
