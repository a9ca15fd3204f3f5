import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { createBodyBudget } from "./http-body-budget.ts";
import { refuseExpectation, sendClientError, sendError } from "./http-errors.ts";
import type { Exchange } from "./http-exchange.ts";
import { route, type RouteContext } from "./http-routes.ts";
import type { ServingAddress } from "./ipc.ts";
import { listen } from "./listen.ts";

export interface HttpServerOptions {
  readonly address: ServingAddress;
  readonly maxSockets: number;
  readonly context: Omit<RouteContext, "accepting" | "bodies">;
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

/** The endpoint: raw node:http, since every layer above it costs more than a small model. */
export async function openHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let accepting = true;
  let inflight = 0;
  let onIdle: (() => void) | null = null;
  const { each: eachBytes, together: maxBytes } = options.context.bodyLimits;
  const bodies = createBodyBudget({ maxBytes, eachBytes, nowMs: () => performance.now() });
  const context: RouteContext = { ...options.context, bodies, accepting: () => accepting };
  const limits = {
    ...{ keepAliveTimeout: 75_000, headersTimeout: 10_000, requestTimeout: 60_000, maxHeaderSize: 16_384 },
    // Node looks every 30 s, which a limit may then be late by.
    connectionsCheckingInterval: 5_000,
  };
  /** The last answer that each connection waits for. */
  const answers = new WeakMap<Duplex, ServerResponse>();
  const begin = (request: IncomingMessage, response: ServerResponse): Exchange => {
    inflight += 1;
    options.onRequest();
    answers.set(request.socket, response);
    context.lone.note(request.socket);
    response.sendDate = false;
    if (!accepting) response.shouldKeepAlive = false;
    const exchange: Exchange = { request, response };
    response.on("close", () => {
      inflight -= 1;
      exchange.onClose?.();
      if (inflight === 0) onIdle?.();
    });
    return exchange;
  };
  const server = createServer({ ...limits, noDelay: true }, (request, response) => {
    const exchange = begin(request, response);
    route(context, exchange).catch((error: unknown) => sendError(exchange, error));
  });
  server.on("checkExpectation", (request, response) => refuseExpectation(begin(request, response)));
  server.on("clientError", (error, socket) => {
    const answer = answers.get(socket);
    sendClientError(error, socket, answer !== undefined && answer.headersSent && !answer.writableFinished);
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
