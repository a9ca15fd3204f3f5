import { request as httpRequest } from "node:http";
import type { ServingAddress } from "../serve/ipc.ts";
import type { SourceRequest } from "./source-request.ts";

export interface EndpointAnswer {
  readonly status: number;
  readonly body: Buffer;
}

export interface EndpointCall {
  readonly path: string;
  readonly client: string;
  /** Absent: a GET. */
  readonly request?: SourceRequest;
  readonly signal: AbortSignal;
}

/**
 * Why there is no answer. `unreachable`: nobody took the connection; `broken`: it ended afterwards; `slow`: nothing came
 * for two minutes; `too-large`: more came than is taken.
 */
export type EndpointFailure = "unreachable" | "broken" | "slow" | "too-large";

interface EndpointErrorOptions extends ErrorOptions {
  /** The endpoint had read the request, which from then on waited for its run. */
  readonly queued?: boolean;
}

export class EndpointError extends Error {
  readonly failure: EndpointFailure;
  readonly queued: boolean;

  constructor(failure: EndpointFailure, message: string, { queued = false, ...options }: EndpointErrorOptions = {}) {
    super(message, options);
    this.failure = failure;
    this.queued = queued;
  }
}

const timeoutMs = 120_000;
const maxAnswerBytes = 64 * 1_048_576;

/** One request to this device's own endpoint. @throws EndpointError · what the signal gives as its reason */
export function callEndpoint(address: ServingAddress, call: EndpointCall): Promise<EndpointAnswer> {
  const { path, client, request, signal } = call;
  const at = address.kind === "unix" ? { socketPath: address.socketPath } : { host: address.host, port: address.port };
  const headers = {
    "x-fairlead-client": client,
    ...(request === undefined
      ? {}
      : {
          // Answered by 102 once it is read: what breaks later is the run, its own or another's.
          "x-fairlead-progress": "102",
          "content-type": request.jsonBytes === null ? "application/json" : "application/octet-stream",
          "content-length": String(request.body.length),
          ...(request.jsonBytes === null ? {} : { "inference-header-content-length": String(request.jsonBytes) }),
        }),
  };
  return new Promise((resolve, reject) => {
    const method = request === undefined ? "GET" : "POST";
    let isConnected = false;
    let queued = false;
    const fail = (error: Error) => {
      if (signal.aborted || error instanceof EndpointError) reject(error);
      else reject(new EndpointError(isConnected ? "broken" : "unreachable", error.message, { cause: error, queued }));
    };
    const outgoing = httpRequest({ ...at, path, method, headers, timeout: timeoutMs, signal }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxAnswerBytes)
          response.destroy(new EndpointError("too-large", `the answer is larger than ${maxAnswerBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      response.on("error", fail);
    });
    outgoing.on("socket", (socket) => {
      if (socket.connecting) socket.once("connect", () => (isConnected = true));
      else isConnected = true;
    });
    outgoing.on("information", ({ statusCode }) => (queued ||= statusCode === 102));
    outgoing.on("timeout", () => outgoing.destroy(new EndpointError("slow", "the endpoint does not answer")));
    outgoing.on("error", fail);
    outgoing.end(request?.body);
  });
}
