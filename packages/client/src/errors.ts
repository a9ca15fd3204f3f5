import { CodedError, type CodedErrorOptions } from "@fairlead/kernel";
import { isHttpErrorCode, problemSchema, type HttpErrorCode, type Problem } from "@fairlead/protocol";

/** Codes that arise on the way to the server; everything else is the server's own code. */
export type TransportErrorCode =
  | "server_unreachable"
  | "server_untrusted"
  | "request_timeout"
  | "request_canceled"
  | "response_invalid";
export type ClientErrorCode = HttpErrorCode | TransportErrorCode;

export interface ProblemField {
  readonly path: string;
  readonly message: string;
}

export interface ClientErrorOptions extends CodedErrorOptions {
  /** HTTP status, or null when no answer came. */
  readonly status?: number | null;
  readonly fields?: readonly ProblemField[];
}

/** Every failure of a client call. `message` is the problem's detail. */
export class ClientError extends CodedError<ClientErrorCode> {
  readonly status: number | null;
  readonly fields: readonly ProblemField[];

  constructor(code: ClientErrorCode, message: string, options: ClientErrorOptions = {}) {
    super(code, message, options);
    this.name = "ClientError";
    this.status = options.status ?? null;
    this.fields = options.fields ?? [];
  }
}

/** The code for an answer without a problem document, for instance from a proxy in between. */
function toCodeOfStatus(status: number): ClientErrorCode {
  const byStatus: Readonly<Record<number, HttpErrorCode>> = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "validation_failed",
    429: "rate_limited",
    503: "unavailable",
    504: "timeout",
    507: "storage_full",
  };
  return byStatus[status] ?? (status >= 500 ? "internal" : "response_invalid");
}

function parseProblem(body: string): Problem | null {
  try {
    const parsed = problemSchema.safeParse(JSON.parse(body));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Turns an unsuccessful answer (RFC 9457 problem document, or anything else) into one error. */
export function toClientError(status: number, body: string, what: string): ClientError {
  const problem = parseProblem(body);
  if (problem === null)
    return new ClientError(toCodeOfStatus(status), `${what}: the server answered ${status}`, { status });
  // A newer server may know codes that this client does not: the status still says what kind it is.
  const code = isHttpErrorCode(problem.code) ? problem.code : toCodeOfStatus(status);
  return new ClientError(code, problem.detail === "" ? problem.title : problem.detail, {
    status,
    details: { serverCode: problem.code, instance: problem.instance ?? null },
    ...(problem.hint === undefined ? {} : { hint: problem.hint }),
    ...(problem.fields === undefined ? {} : { fields: problem.fields }),
  });
}

const untrustedCodes = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_SIGNATURE_FAILURE",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]);

function toSystemCode(error: unknown): string | null {
  let current: unknown = error;
  for (let depth = 0; depth < 5 && typeof current === "object" && current !== null; depth += 1) {
    if ("code" in current && typeof current.code === "string") return current.code;
    current = "cause" in current ? current.cause : undefined;
  }
  return null;
}

function toReason(error: unknown): string {
  const code = toSystemCode(error);
  if (code !== null) return code;
  // `fetch` says only "fetch failed"; the reason is the innermost cause.
  let innermost: unknown = error;
  for (let depth = 0; depth < 5 && innermost instanceof Error && innermost.cause !== undefined; depth += 1)
    innermost = innermost.cause;
  return innermost instanceof Error ? innermost.message : String(innermost);
}

/** Turns what `fetch` threw into one error that says whether to look at the network or at the certificate. */
export function toTransportError(error: unknown, origin: string): ClientError {
  const reason = toReason(error);
  if (untrustedCodes.has(reason))
    return new ClientError("server_untrusted", `${origin} shows a certificate that is not trusted (${reason})`, {
      cause: error,
      hint: "pin the plane's certificate authority: use a token that carries its fingerprint, or name the CA file",
    });
  return new ClientError("server_unreachable", `cannot reach ${origin} (${reason})`, {
    cause: error,
    hint: "is the control plane running, and are host and port right?",
  });
}
