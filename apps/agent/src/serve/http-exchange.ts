import type { IncomingMessage, ServerResponse } from "node:http";
import { lingerThenEnd } from "./http-linger.ts";
import { ServeError } from "./serving-error.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Called when the client goes before it has its whole answer; also, with nothing left to do, once it has it. */
  onClose?: (() => void) | undefined;
}

export function unknownRoute(): ServeError {
  return new ServeError("route_unknown", "Not Found");
}

export function checkMethod({ request }: Exchange, method: "GET" | "POST"): void {
  if (request.method !== method) throw new ServeError("method_refused", `${request.method} is not allowed here`);
}

export function sendJson(response: ServerResponse, status: number, document: unknown): void {
  response.end(writeHead(response, { status, document, headers: [] }));
}

export interface Refusal {
  readonly status: number;
  readonly message: string;
  /** Names and values in turn. */
  readonly headers?: readonly string[];
}

/** Answers in the protocol's form of an error, also a client that is still sending. */
export function sendRefusal({ request, response }: Exchange, { status, message, headers = [] }: Refusal): void {
  const document = { error: message };
  if (request.complete) return void response.end(writeHead(response, { status, document, headers }));
  // The connection would carry what is still to come into the next request.
  response.shouldKeepAlive = false;
  response.write(writeHead(response, { status, document, headers }));
  lingerThenEnd(request, response);
}

interface Answer {
  readonly status: number;
  readonly document: unknown;
  readonly headers: readonly string[];
}

function writeHead(response: ServerResponse, { status, document, headers }: Answer): Buffer {
  const body = Buffer.from(JSON.stringify(document));
  response.writeHead(status, ["Content-Type", "application/json", "Content-Length", String(body.length), ...headers]);
  return body;
}
