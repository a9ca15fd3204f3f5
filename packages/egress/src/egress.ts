import type { IncomingHttpHeaders } from "node:http";
import { toErrorMessage, type Clock } from "@fairlead/kernel";
import type { AddressPolicy } from "./address-policy.ts";
import { connect, type EgressTls } from "./connect.ts";
import { EgressError } from "./errors.ts";
import { defaultLimits, type EgressLimits } from "./limits.ts";
import { readBody } from "./read-body.ts";
import { resolveChecked, type Resolve } from "./resolve.ts";
import { parseTarget, type TargetPolicy } from "./target.ts";

export interface EgressPolicy extends TargetPolicy {
  readonly addresses: AddressPolicy;
}

export interface EgressOptions {
  readonly policy: EgressPolicy;
  readonly resolve: Resolve;
  readonly clock: Clock;
  readonly limits?: Partial<EgressLimits>;
  readonly tls?: EgressTls;
}

export interface EgressRequest {
  readonly method: "GET" | "HEAD" | "POST";
  readonly url: string;
  /** Names that decide where a message goes or ends (`host`, `content-length`, …) are ours and left out. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly limits?: Partial<EgressLimits>;
  readonly signal?: AbortSignal;
}

export interface EgressAnswer {
  /** 200 to 599 without 3xx. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read to its end or left by `return`/`break`; both free the connection. Throws EgressError. */
  readonly body: AsyncIterable<Buffer>;
}

export interface Egress {
  /** Reads, resolves and judges without connecting: whether a request would be sent now. */
  readonly check: (url: string) => Promise<void>;
  /** The answer's beginning; the body is read by the caller under the same caps. */
  readonly open: (request: EgressRequest) => Promise<EgressAnswer>;
  /** The whole answer in memory, at most `maxResponseBytes`. */
  readonly send: (request: EgressRequest) => Promise<Omit<EgressAnswer, "body"> & { readonly body: Buffer }>;
}

interface Deadlines {
  readonly signal: AbortSignal;
  readonly beginBody: () => void;
  readonly clear: () => void;
}

function startDeadlines(limits: EgressLimits, caller: AbortSignal | undefined): Deadlines {
  const late = new AbortController();
  const abort = (what: string, ms: number) =>
    late.abort(new EgressError("timed_out", `${what} took longer than ${ms} ms`));
  const answer = setTimeout(() => abort("the beginning of the answer", limits.answerTimeoutMs), limits.answerTimeoutMs);
  const total = setTimeout(() => abort("the answer", limits.totalTimeoutMs), limits.totalTimeoutMs);
  const leave = () => late.abort(new EgressError("aborted", "the request was given up"));
  if (caller?.aborted === true) leave();
  else caller?.addEventListener("abort", leave, { once: true });
  return {
    signal: late.signal,
    beginBody: () => clearTimeout(answer),
    clear: () => {
      clearTimeout(answer);
      clearTimeout(total);
      caller?.removeEventListener("abort", leave);
    },
  };
}

/** A resolver cannot be stopped; it is no longer waited for. */
async function untilAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = () => reject(signal.reason as Error);
  signal.addEventListener("abort", leave, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

function requirePlainAnswer(status: number, headers: IncomingHttpHeaders): void {
  if (status >= 300 && status <= 399) {
    throw new EgressError("redirect_refused", `status ${status}: redirects are not followed`, {
      hint: "give the address where the answer is",
    });
  }
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new EgressError("response_refused", "the answer is encoded in a way that was not asked for");
  }
}

async function* withDeadlines(
  body: AsyncIterable<Buffer>,
  deadlines: Deadlines,
): AsyncGenerator<Buffer, void, undefined> {
  try {
    yield* body;
  } catch (error) {
    if (deadlines.signal.aborted) throw deadlines.signal.reason;
    if (error instanceof EgressError) throw error;
    throw new EgressError("unreachable", `the answer broke off: ${toErrorMessage(error)}`, { cause: error });
  } finally {
    deadlines.clear();
  }
}

/**
 * A client for addresses that somebody else named. Per request, in this order: read the URL strictly, resolve once, judge
 * every address, connect to what was judged, judge the peer, refuse redirects and encodings, count the body.
 * @throws EgressError
 */
export function createEgress(options: EgressOptions): Egress {
  const { policy, resolve, clock } = options;

  const open: Egress["open"] = async (request) => {
    const limits: EgressLimits = { ...defaultLimits, ...options.limits, ...request.limits };
    const target = parseTarget(request.url, policy);
    const deadlines = startDeadlines(limits, request.signal);
    const { signal } = deadlines;
    try {
      const addresses = await untilAborted(resolveChecked(target, policy.addresses, resolve), signal);
      const { method, headers = {}, body } = request;
      const response = await connect({
        ...{ target, addresses, policy: policy.addresses, method, headers, body, signal },
        tls: options.tls ?? {},
        idleTimeoutMs: limits.idleTimeoutMs,
      });
      try {
        const status = response.statusCode ?? 0;
        requirePlainAnswer(status, response.headers);
        deadlines.beginBody();
        const read = readBody(response, limits, clock);
        return { status, headers: response.headers, body: withDeadlines(read, deadlines) };
      } catch (error) {
        response.destroy();
        throw error;
      }
    } catch (error) {
      deadlines.clear();
      throw error;
    }
  };

  return {
    check: async (url) => {
      const target = parseTarget(url, policy);
      const { answerTimeoutMs } = { ...defaultLimits, ...options.limits };
      const signal = AbortSignal.timeout(answerTimeoutMs);
      await untilAborted(resolveChecked(target, policy.addresses, resolve), signal).catch((error: unknown) => {
        if (error instanceof EgressError) throw error;
        throw new EgressError("timed_out", `${target.host} is not resolved in time`, { cause: error });
      });
    },
    open,
    send: async (request) => {
      const answer = await open(request);
      const chunks: Buffer[] = [];
      for await (const chunk of answer.body) chunks.push(chunk);
      return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks) };
    },
  };
}
