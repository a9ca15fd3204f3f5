import type { IncomingMessage, ServerResponse } from "node:http";
import { ServeError } from "./serving-error.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

export function unknownRoute(): ServeError {
  return new ServeError("route_unknown", "Not Found");
}

export function checkMethod({ request }: Exchange, method: "GET" | "POST"): void {
  if (request.method !== method) throw new ServeError("method_refused", `${request.method} is not allowed here`);
}

export function sendJson(response: ServerResponse, status: number, document: unknown): void {
  const body = Buffer.from(JSON.stringify(document));
  response.writeHead(status, ["Content-Type", "application/json", "Content-Length", String(body.length)]);
  response.end(body);
}
