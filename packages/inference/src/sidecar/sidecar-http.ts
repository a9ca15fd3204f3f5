import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { SidecarAddress } from "./sidecar-address.ts";

export interface SidecarCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent one after the other. */
  readonly parts?: readonly Uint8Array[];
  /** From sending to the last byte of the answer. */
  readonly timeoutMs: number;
  /** Longest body that is taken. */
  readonly maxBytes: number;
}

export interface SidecarAnswer {
  readonly status: number;
  /** Header Inference-Header-Content-Length as it was sent; null when there is none. */
  readonly headerLength: string | null;
  /** The body. When `headerLength` is a number, its byte of that number lies at a multiple of 8 of its memory. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/**
 * Why there is no answer: `late` (its time is over), `lost` (the server is not there, or went away), `garbled` (what came
 * is no HTTP, or longer than allowed).
 */
export class SidecarHttpError extends Error {
  readonly kind: "late" | "lost" | "garbled";

  constructor(kind: SidecarHttpError["kind"], message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause });
    this.kind = kind;
  }
}

/** Enough for every header that the protocol has; a server that sends more is not one. */
const maxHeaderSize = 16_384;
const alignment = 8;

/** HTTP to one server on this machine, over connections that are kept. Redirects are answers like others. */
export class SidecarHttp {
  readonly #address: SidecarAddress;
  #agent: Agent;

  constructor(address: SidecarAddress) {
    this.#address = address;
    this.#agent = createAgent();
  }

  /** Ends every connection; calls in progress are lost. */
  reset(): void {
    this.#agent.destroy();
    this.#agent = createAgent();
  }

  close(): void {
    this.#agent.destroy();
  }

  /** @throws SidecarHttpError */
  async call(call: SidecarCall): Promise<SidecarAnswer> {
    const untilMs = performance.now() + call.timeoutMs;
    try {
      return await this.#send(call, call.timeoutMs);
    } catch (error) {
      // A server closes an idle connection at the moment at which we use it: nothing of the request was looked at.
      if (!(error instanceof StaleConnectionError)) throw error;
      return await this.#send(call, Math.max(1, untilMs - performance.now()));
    }
  }

  #send(call: SidecarCall, timeoutMs: number): Promise<SidecarAnswer> {
    return new Promise((resolve, reject) => {
      const address = this.#address;
      const parts = call.parts ?? [];
      const length = parts.reduce((sum, part) => sum + part.byteLength, 0);
      const request = httpRequest({
        ...(address.kind === "tcp"
          ? { host: address.host, port: address.port, family: isV6(address.host) ? 6 : 4 }
          : { socketPath: address.socketPath }),
        method: call.method,
        path: `${address.basePath}${call.path}`,
        agent: this.#agent,
        maxHeaderSize,
        insecureHTTPParser: false,
        headers: { ...call.headers, ...(call.method === "POST" ? { "content-length": String(length) } : {}) },
      });
      let settled = false;
      const settle = (end: () => void) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        end();
      };
      const fail = (error: SidecarHttpError) => {
        settle(() => reject(error));
        request.destroy();
      };
      const timer = setTimeout(
        () => fail(new SidecarHttpError("late", `no answer within ${Math.round(timeoutMs)} ms`)),
        timeoutMs,
      );
      let began = false;
      request.on("response", (response) => {
        began = true;
        collect(response, call.maxBytes, { resolve: (answer) => settle(() => resolve(answer)), fail });
      });
      request.on("error", (error) => fail(toHttpError(request, error, began)));
      send(request, parts);
    });
  }
}

/** One kept connection failed before a byte of an answer came. */
class StaleConnectionError extends SidecarHttpError {}

function createAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 16, scheduling: "lifo" });
}

function isV6(host: string): boolean {
  return host.includes(":");
}

/** Small parts travel in one write: a packet costs more than a copy. */
const joinedBytes = 16_384;

function send(request: ClientRequest, parts: readonly Uint8Array[]): void {
  const total = parts.reduce((sum, part) => sum + part.byteLength, 0);
  if (parts.length > 1 && total <= joinedBytes) {
    request.end(Buffer.concat(parts, total));
    return;
  }
  for (const part of parts) request.write(part);
  request.end();
}

interface Collected {
  resolve(answer: SidecarAnswer): void;
  fail(error: SidecarHttpError): void;
}

function collect(response: IncomingMessage, maxBytes: number, collected: Collected): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const tooLong = () => new SidecarHttpError("garbled", `the answer is longer than ${maxBytes} bytes`);
  if (Number(response.headers["content-length"] ?? 0) > maxBytes) {
    collected.fail(tooLong());
    return;
  }
  response.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxBytes) collected.fail(tooLong());
    else chunks.push(chunk);
  });
  response.on("error", (error) => collected.fail(toHttpError(null, error, true)));
  response.on("close", () => {
    if (!response.complete) collected.fail(new SidecarHttpError("lost", "the connection ended inside the answer"));
  });
  response.on("end", () => {
    const header = response.headers["inference-header-content-length"];
    const headerLength = typeof header === "string" ? header : null;
    const bytes = join(chunks, length, Number(headerLength ?? 0));
    collected.resolve({ status: response.statusCode ?? 0, headerLength, bytes });
  });
}

/** Laid out so that what follows the JSON part needs no copy to be read as numbers. */
function join(chunks: readonly Buffer[], length: number, jsonBytes: number): Uint8Array<ArrayBuffer> {
  const lead = Number.isSafeInteger(jsonBytes) && jsonBytes > 0 ? (alignment - (jsonBytes % alignment)) % alignment : 0;
  const bytes = new Uint8Array(new ArrayBuffer(lead + length), lead, length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

const lostCodes = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT", "ECONNABORTED", "ETIMEDOUT"];

function toHttpError(request: ClientRequest | null, error: Error, began: boolean): SidecarHttpError {
  const message = toErrorMessage(error).slice(0, 300);
  const code = toErrorCode(error) ?? "";
  if (!lostCodes.includes(code)) return new SidecarHttpError("garbled", `the answer is no HTTP: ${message}`, error);
  const stale = request?.reusedSocket === true && !began && !hasErrorCode(error, "ECONNREFUSED");
  const what = began ? "the connection ended inside the answer" : `no connection: ${message}`;
  return new (stale ? StaleConnectionError : SidecarHttpError)("lost", what, error);
}
