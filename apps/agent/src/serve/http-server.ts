import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ProtocolErrorCode, RuntimeErrorCode } from "@fairlead/inference";
import { sendJson } from "./http-exchange.ts";
import { route, type RouteContext } from "./http-routes.ts";
import type { ServingAddress } from "./ipc.ts";
import { listen } from "./listen.ts";
import type { ServeErrorCode } from "./serving-error.ts";

export interface HttpServerOptions {
  readonly address: ServingAddress;
  readonly maxSockets: number;
  readonly context: Omit<RouteContext, "accepting">;
  /** Called for every request as it begins. */
  readonly onRequest: () => void;
}

export interface HttpServer {
  readonly address: ServingAddress;
  /** Requests that have no whole answer yet. */
  readonly inflight: number;
  /** Stops accepting and waits for requests in flight, at most `drainMs`. */
  drain(drainMs: number): Promise<void>;
}

/** Status per error code; total, so that a new code does not compile without one. */
const statuses: Readonly<Record<ServeErrorCode | RuntimeErrorCode | ProtocolErrorCode, number>> = {
  request_invalid: 400,
  request_malformed: 400,
  request_too_large: 413,
  not_supported: 400,
  response_not_json: 500,
  input_invalid: 400,
  body_too_large: 413,
  body_encoding: 415,
  client_gone: 400,
  model_unknown: 404,
  route_unknown: 404,
  method_refused: 405,
  policy_refused: 403,
  repository_refused: 400,
  model_stopped: 503,
  overloaded: 503,
  quota_exceeded: 429,
  deadline_expired: 504,
  memory_insufficient: 507,
  model_hung: 503,
  model_closed: 503,
  runtime_crashed: 503,
  accelerator_failed: 503,
  accelerator_lost: 503,
  runtime_unknown: 500,
  runtime_config_invalid: 500,
  inference_deadline: 504,
  inference_failed: 500,
  model_load_failed: 500,
  provider_unknown: 500,
  tensor_type_unsupported: 500,
  config_invalid: 500,
  port_taken: 500,
  socket_taken: 500,
  address_refused: 500,
  contract_mismatch: 500,
  file_unreadable: 500,
  length_mismatch: 500,
  digest_mismatch: 500,
  golden_invalid: 500,
  load_unknown: 500,
  load_exists: 500,
  load_active: 500,
  slot_mismatch: 500,
  output_unknown: 500,
  too_many_loads: 500,
};

function toStatus(error: unknown): number {
  const code = toErrorCode(error);
  return Object.entries(statuses).find(([known]) => known === code)?.[1] ?? 500;
}

/** The endpoint: raw node:http, since every layer above it costs more than a small model. */
export async function openHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let accepting = true;
  let inflight = 0;
  let onIdle: (() => void) | null = null;
  const context: RouteContext = { ...options.context, accepting: () => accepting };
  const limits = { keepAliveTimeout: 75_000, headersTimeout: 10_000, requestTimeout: 60_000, maxHeaderSize: 16_384 };
  const server = createServer({ ...limits, noDelay: true }, (request, response) => {
    inflight += 1;
    options.onRequest();
    context.lone.note(request.socket);
    response.sendDate = false;
    if (!accepting) response.shouldKeepAlive = false;
    response.on("close", () => {
      inflight -= 1;
      if (inflight === 0) onIdle?.();
    });
    route(context, { request, response }).catch((error: unknown) => sendError(request, response, error));
  });
  server.on("connection", (socket) => socket.once("close", () => context.lone.forget(socket)));
  server.maxConnections = options.maxSockets;
  const address = await listen(server, options.address);
  return {
    address,
    get inflight() {
      return inflight;
    },
    async drain(drainMs) {
      accepting = false;
      server.close();
      server.closeIdleConnections();
      if (inflight > 0) {
        await new Promise<void>((resolve) => {
          onIdle = resolve;
          setTimeout(resolve, drainMs);
        });
      }
      server.closeAllConnections();
    },
  };
}

function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  // What the client still sends is not read: the connection would carry it into the next request.
  if (!request.complete) response.shouldKeepAlive = false;
  sendJson(response, toStatus(error), { error: toErrorMessage(error) });
}
