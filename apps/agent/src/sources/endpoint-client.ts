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

const timeoutMs = 120_000;
const maxAnswerBytes = 64 * 1_048_576;

/** One request to this device's own endpoint. @throws when it cannot be reached, takes too long or answers too much */
export function callEndpoint(address: ServingAddress, call: EndpointCall): Promise<EndpointAnswer> {
  const { path, client, request, signal } = call;
  const at = address.kind === "unix" ? { socketPath: address.socketPath } : { host: address.host, port: address.port };
  const headers = {
    "x-fairlead-client": client,
    ...(request === undefined
      ? {}
      : {
          "content-type": request.jsonBytes === null ? "application/json" : "application/octet-stream",
          "content-length": String(request.body.length),
          ...(request.jsonBytes === null ? {} : { "inference-header-content-length": String(request.jsonBytes) }),
        }),
  };
  return new Promise((resolve, reject) => {
    const method = request === undefined ? "GET" : "POST";
    const outgoing = httpRequest({ ...at, path, method, headers, timeout: timeoutMs, signal }, (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxAnswerBytes) outgoing.destroy(new Error(`the answer is larger than ${maxAnswerBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("the endpoint does not answer")));
    outgoing.on("error", reject);
    outgoing.end(request?.body);
  });
}
