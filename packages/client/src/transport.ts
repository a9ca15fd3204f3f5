import type * as z from "zod";
import { ClientError, toClientError, toTransportError } from "./errors.ts";
import type { FetchInit, FetchResponse, HttpFetch } from "./fetch-port.ts";
import { parseLenient } from "./parse-lenient.ts";

export type QueryValue = string | number | boolean | null | undefined;

export interface TransportOptions {
  /** Origin of the control plane, for instance `https://plane.example:8443`. */
  readonly server: string;
  readonly token?: string;
  readonly fetch: HttpFetch;
  /** Longest time for one request and its answer. Streams and uploads have no total limit. */
  readonly timeoutMs?: number;
  /** Makes the value of `Idempotency-Key`. */
  readonly newKey?: () => string;
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, QueryValue>>;
  readonly json?: unknown;
  readonly stream?: { readonly body: AsyncIterable<Uint8Array>; readonly sizeBytes: number };
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
  /** null: no limit. */
  readonly timeoutMs?: number | null;
}

export interface Request extends RequestOptions {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Segments below `/api/v1`, encoded here. */
  readonly path: readonly string[];
}

/** A value and the entity tag under which it was read. */
export interface Tagged<Value> {
  readonly value: Value;
  readonly etag: string | undefined;
}

/** The one place that speaks HTTP: authentication, limits, error translation, parsing. */
export interface Transport {
  send(request: Request): Promise<FetchResponse>;
  read<Schema extends z.ZodType>(schema: Schema, request: Request): Promise<z.infer<Schema>>;
  readTagged<Schema extends z.ZodType>(schema: Schema, request: Request): Promise<Tagged<z.infer<Schema>>>;
  /** null: it is what it was under that entity tag. */
  readChanged<Schema extends z.ZodType>(
    schema: Schema,
    request: Request,
    known: string | undefined,
  ): Promise<Tagged<z.infer<Schema>> | null>;
}

const maxAnswerCharacters = 64 * 1024 * 1024;

function toUrl(server: string, request: Request): string {
  const path = request.path.map(encodeURIComponent).join("/");
  const query = Object.entries(request.query ?? {})
    .filter(([, value]) => value !== undefined && value !== null && value !== "")
    .map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`)
    .join("&");
  return `${server.replace(/\/+$/u, "")}/api/v1/${path}${query === "" ? "" : `?${query}`}`;
}

function toHeaders(request: Request, options: TransportOptions): Record<string, string> {
  const isWrite = request.method !== "GET" && request.method !== "HEAD";
  const key = request.idempotencyKey ?? (options.newKey ?? (() => crypto.randomUUID()))();
  return {
    accept: "application/json, application/problem+json",
    ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    ...(isWrite ? { "idempotency-key": key } : {}),
    ...(request.json === undefined ? {} : { "content-type": "application/json" }),
    ...(request.stream === undefined
      ? {}
      : { "content-type": "application/octet-stream", "content-length": String(request.stream.sizeBytes) }),
    ...request.headers,
  };
}

export function createTransport(options: TransportOptions): Transport {
  const origin = options.server;

  async function send(request: Request): Promise<FetchResponse> {
    const timeoutMs = request.timeoutMs === undefined ? (options.timeoutMs ?? 30_000) : request.timeoutMs;
    const limit = timeoutMs === null ? [] : [AbortSignal.timeout(timeoutMs)];
    const signals = [...(request.signal === undefined ? [] : [request.signal]), ...limit];
    const init: FetchInit = {
      method: request.method,
      headers: toHeaders(request, options),
      redirect: "error",
      signal: AbortSignal.any(signals),
      ...(request.json === undefined ? {} : { body: JSON.stringify(request.json) }),
      ...(request.stream === undefined ? {} : { body: request.stream.body, duplex: "half" as const }),
    };
    const translate = (error: unknown): ClientError => {
      if (request.signal?.aborted === true)
        return new ClientError("request_canceled", "the request was canceled", { cause: error });
      if (limit.some((signal) => signal.aborted))
        return new ClientError("request_timeout", `${origin} did not answer within ${timeoutMs} ms`, {
          cause: error,
          hint: "try again, or allow more time",
        });
      return toTransportError(error, origin);
    };
    let response: FetchResponse;
    try {
      response = await options.fetch(toUrl(origin, request), init);
    } catch (error) {
      throw translate(error);
    }
    if (response.ok)
      return {
        ...toPlain(response),
        text: () => response.text().catch((error: unknown) => Promise.reject(translate(error))),
      };
    const body = await response.text().catch(() => "");
    throw toClientError(response.status, body, `${request.method} /api/v1/${request.path.join("/")}`);
  }

  async function readTagged<Schema extends z.ZodType>(
    schema: Schema,
    request: Request,
  ): Promise<Tagged<z.infer<Schema>>> {
    const response = await send(request);
    const text = await response.text();
    const what = `${request.method} /api/v1/${request.path.join("/")}`;
    const invalid = (why: string): ClientError =>
      new ClientError("response_invalid", `${what}: the answer is not what this version expects (${why})`, {
        status: response.status,
        hint: "is this a Fairlead control plane, and of about the same version?",
      });
    if (text.length > maxAnswerCharacters) throw invalid("too large");
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw invalid("not JSON");
    }
    const parsed = parseLenient(schema, value);
    if (!parsed.ok) throw invalid(parsed.issues.slice(0, 3).join("; "));
    return { value: parsed.value, etag: response.headers.get("etag") ?? undefined };
  }

  const readChanged: Transport["readChanged"] = async (schema, request, known) => {
    if (known === undefined) return await readTagged(schema, request);
    try {
      return await readTagged(schema, { ...request, headers: { ...request.headers, "if-none-match": known } });
    } catch (error) {
      if (error instanceof ClientError && error.status === 304) return null;
      throw error;
    }
  };

  return { send, readTagged, readChanged, read: async (schema, request) => (await readTagged(schema, request)).value };
}

function toPlain(response: FetchResponse): Omit<FetchResponse, "text"> {
  return {
    ok: response.ok,
    status: response.status,
    statusText: response.statusText,
    headers: response.headers,
    body: response.body,
  };
}
