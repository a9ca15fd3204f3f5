import type { Duplex } from "node:stream";
import { toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ProtocolErrorCode, RuntimeErrorCode } from "@fairlead/inference";
import { sendRefusal, type Exchange } from "./http-exchange.ts";
import type { ServeErrorCode } from "./serving-error.ts";

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
  model_loading: 503,
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
  read_failed: 500,
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

/** Who comes too early may come again: a run takes milliseconds (RFC 9110, section 10.2.3). */
const retryAfter = ["Retry-After", "1"];

export function sendError(exchange: Exchange, error: unknown): void {
  const { response } = exchange;
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const headers = ["overloaded", "model_loading"].includes(toErrorCode(error) ?? "") ? retryAfter : [];
  sendRefusal(exchange, { status: toStatus(error), message: toErrorMessage(error), headers });
}

/** Answers an expectation other than 100-continue (RFC 9110, section 10.1.1). */
export function refuseExpectation(exchange: Exchange): void {
  const expectation = String(exchange.request.headers.expect).slice(0, 64);
  sendRefusal(exchange, { status: 417, message: `expectation '${expectation}' is not supported` });
}

/** What node:http finds wrong before there is a request that could be answered, by the codes of its errors. */
const clientErrors: Readonly<Record<string, readonly [status: string, message: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the request's header is larger than 16384 bytes"],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ["413 Payload Too Large", "the extensions of a chunk are larger than 16384 bytes"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not arrive in time"],
};
const otherError = ["400 Bad Request", "the request is no HTTP/1.1"] as const;

/** How long a client that sent no request may go on before its connection ends, and how much is read of it meanwhile. */
const refusedMs = 1_000;
const refusedBytes = 1_048_576;

/**
 * Answers in the protocol's form instead of with node:http's empty bodies. The rest of what comes is read over for a
 * moment, since a connection that is closed with unread bytes takes its answer along; node:http reports it as further errors.
 * @param answering whether the head of an answer was sent that has no end yet
 */
export function sendClientError(
  error: Error,
  socket: Duplex & { readonly bytesRead?: number },
  answering: boolean,
): void {
  if (socket.writableEnded) {
    if ((socket.bytesRead ?? 0) > refusedBytes) socket.destroy();
    return;
  }
  if (!socket.writable || answering || toErrorCode(error) === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, message] = clientErrors[toErrorCode(error) ?? ""] ?? otherError;
  const body = JSON.stringify({ error: message });
  const head = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n\r\n${body}`);
  const timer = setTimeout(() => socket.destroy(), refusedMs);
  socket.once("close", () => clearTimeout(timer));
}
