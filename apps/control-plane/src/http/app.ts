import type { HttpBindings } from "@hono/node-server";
import { CodedError, hasErrorCode, toErrorMessage, type Clock, type Logger } from "@fairlead/kernel";
import { limits, type HttpErrorCode } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import { Hono } from "hono";
import type { VerifyToken } from "../authority/oidc/verify-token.ts";
import { toScopeText } from "../authority/scope.ts";
import { parseRequestPart, toProblem, toProblemResponse } from "./error-map.ts";
import { authenticate, toActor, toScope, type CallerRequest } from "./middleware/authenticate.ts";
import { createIdempotency, type RunOnce } from "./middleware/idempotency.ts";
import { toEntityTag } from "./middleware/preconditions.ts";
import { createRefusalLog } from "./middleware/refusal-log.ts";
import { createCallerLimit } from "./middleware/caller-limit.ts";
import { createRateLimit, type RateLimit } from "./middleware/rate-limit.ts";
import { readJson } from "./middleware/read-json.ts";
import { plainRequests } from "./middleware/plain-requests.ts";
import { securityHeaders } from "./middleware/security-headers.ts";
import type { DeviceConnections } from "./device-connections.ts";
import type { RefusalAudit } from "../audit/refusal-audit.ts";
import type { AnyRoute, RouteAnswer, RouteRequest } from "./route.ts";

const defaultTimeoutMs = 30_000;

export interface AppOptions {
  /** Is this certificate of this device in force? */
  readonly isInForce: (device: string, fingerprint: string, fromAddress: string) => Promise<boolean>;
  readonly verifyToken: VerifyToken | undefined;
  readonly connections: DeviceConnections;
  readonly tenant: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly routes: readonly AnyRoute[];
  readonly refusals: Pick<RefusalAudit, "note">;
  /** Whose request it is, for limits and the audit log. */
  readonly toAddress: (incoming: HttpBindings["incoming"]) => string;
  /** Of one caller; see `caller-limit.ts`. */
  readonly requestsPerMinute: number;
}
interface Environment {
  Bindings: HttpBindings;
  /** Who calls, once that is known; the pattern of the route that took the call. */
  Variables: { actor: string; route: string };
}
interface Call {
  readonly raw: Request;
  readonly bindings: HttpBindings;
  readonly params: Record<string, string>;
  readonly path: string;
  readonly onKnown: (actor: string) => void;
}
interface Mounting extends AppOptions {
  readonly failures: RateLimit;
  readonly takeRequest: ReturnType<typeof createCallerLimit>;
  readonly runOnce: RunOnce;
}

function toQuery(url: string): Record<string, string> {
  const query = new URL(url).searchParams;
  const names = [...query.keys()];
  if (new Set(names).size !== names.length) {
    throw new CodedError<HttpErrorCode>("bad_request", "a query parameter is given twice");
  }
  return Object.fromEntries(query);
}

function toResponse(route: AnyRoute, answer: RouteAnswer<unknown> | Response): Response {
  if (answer instanceof Response) return answer;
  const headers = new Headers(answer.headers);
  if (answer.etag !== undefined) headers.set("etag", toEntityTag(answer.etag));
  if (answer.status === 204) return new Response(null, { status: 204, headers });
  headers.set("content-type", "application/json");
  // What does not meet its schema is our fault and becomes a 500; unknown fields never leave.
  const body = route.response === null ? answer.body : route.response.parse(answer.body);
  return new Response(JSON.stringify(body), { status: answer.status ?? 200, headers });
}

async function withTimeLimit<Result>(
  timeoutMs: number | null | undefined,
  client: AbortSignal,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  if (timeoutMs === null) return await run(client);
  const limit = timeoutMs ?? defaultTimeoutMs;
  const late = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      late.abort();
      reject(new CodedError<HttpErrorCode>("timeout", `no answer within ${limit} ms`, { hint: "try again" }));
    }, limit);
  });
  try {
    return await Promise.race([run(AbortSignal.any([client, late.signal])), expired]);
  } finally {
    clearTimeout(timer);
  }
}

function requireNoQuery(url: string): undefined {
  if (new URL(url).search === "") return undefined;
  throw new CodedError<HttpErrorCode>("bad_request", "this takes no query parameters", {
    hint: "leave them away; a token goes into the Authorization header, never into an address",
  });
}

function toCallerRequest({ bindings, raw }: Call): CallerRequest {
  return { incoming: bindings.incoming, method: raw.method, headers: raw.headers };
}

async function authenticateCall(mounting: Mounting, route: AnyRoute, call: Call) {
  const address = mounting.toAddress(call.bindings.incoming);
  if (route.permission === "public") return { kind: "anonymous" } as const;
  mounting.failures.check(address);
  try {
    return await authenticate(mounting, route, toCallerRequest(call));
  } catch (error) {
    // Guesses are limited; a caller who is known and may not do this is not guessing.
    if (hasErrorCode(error, "unauthenticated")) mounting.failures.take(address);
    throw error;
  }
}

async function answerCall(mounting: Mounting, route: AnyRoute, call: Call): Promise<Response> {
  const remoteAddress = mounting.toAddress(call.bindings.incoming);
  const caller = await authenticateCall(mounting, route, call);
  const actor = toActor(caller);
  call.onKnown(actor);
  mounting.takeRequest({ caller, actor, address: remoteAddress, traffic: route.traffic ?? "api" });
  const { request } = route;
  const { headers } = call.raw;
  return await withTimeLimit(route.timeoutMs, call.raw.signal, async (signal) => {
    const params = request.params === undefined ? undefined : parseRequestPart(request.params, call.params, "path");
    const query =
      request.query === undefined
        ? requireNoQuery(call.raw.url)
        : parseRequestPart(request.query, toQuery(call.raw.url), "query");
    const json =
      request.body === undefined ? undefined : await readJson(call.raw, route.bodyBytes ?? limits.httpJsonBytes);
    const body = request.body === undefined ? undefined : parseRequestPart(request.body, json, "body");
    const scope = toScope(caller);
    const mayStill = async () =>
      await authenticate(mounting, route, toCallerRequest(call)).then(
        () => true,
        () => false,
      );
    const parsed = {
      caller,
      mayStill,
      scope,
      actor,
      by: { actor, from: remoteAddress },
      params,
      query,
      body,
      headers,
      raw: call.raw,
      remoteAddress,
      signal,
    };
    // The schemas of the route made exactly what its handler takes.
    const run = () => route.handle(parsed as RouteRequest<never>);
    const key = headers.get("idempotency-key");
    const isWrite = route.method === "POST" || route.method === "PATCH" || route.method === "DELETE";
    const isOnce = key !== null && isWrite && route.idempotent !== false && caller.kind !== "anonymous";
    // The scope too: what somebody was answered when it was wider is not repeated.
    const content = { method: route.method, path: call.path, body, scope: toScopeText(scope) };
    return toResponse(route, isOnce ? await mounting.runOnce({ actor, key, content }, run) : await run());
  });
}

/** Every route with its own permission, limits and schemas; whatever is thrown becomes a problem document. */
export function createApp(options: AppOptions): Hono<Environment> {
  const app = new Hono<Environment>();
  const mounting: Mounting = {
    ...options,
    failures: createRateLimit(options.clock, { burst: 60, perMinute: 60 }),
    takeRequest: createCallerLimit(options.clock, options.requestsPerMinute),
    runOnce: createIdempotency(options),
  };
  const logRefusal = createRefusalLog(options.refusals);
  app.use(securityHeaders);
  app.use(plainRequests);
  for (const route of options.routes) {
    app.on(route.method, route.path, (context) => {
      context.set("route", route.path);
      return answerCall(mounting, route, {
        raw: context.req.raw,
        bindings: context.env,
        params: context.req.param(),
        path: context.req.path,
        onKnown: (actor) => context.set("actor", actor),
      });
    });
  }
  // Whatever refuses, wherever on the way, ends here; so no refusal leaves without its entry.
  app.onError(async (error, context) => {
    await logRefusal(error, {
      actor: context.get("actor") ?? "anonymous",
      from: options.toAddress(context.env.incoming),
      method: context.req.method,
      path: context.req.path,
      route: context.get("route") ?? null,
    });
    const problem = toProblem(error, context.req.path);
    if (problem.status >= 500) {
      options.logger.error("a request failed", {
        method: context.req.method,
        path: context.req.path,
        error: toErrorMessage(error),
        stack: error.stack,
      });
    }
    return toProblemResponse(problem, toProblemHeaders(problem.status, error));
  });
  app.notFound((context) => {
    const path = context.req.path;
    const methods = options.routes.filter((route) => toPattern(route.path).test(path)).map((route) => route.method);
    const code: HttpErrorCode = methods.length === 0 ? "not_found" : "method_not_allowed";
    throw new CodedError<HttpErrorCode>(code, `${context.req.method} ${path} does not exist`, {
      hint: "GET /api/v1/openapi.json lists everything",
      details: methods.length === 0 ? {} : { allow: methods.join(", ") },
    });
  });
  return app;
}

function toProblemHeaders(status: number, error: unknown): Readonly<Record<string, string>> {
  if (status === 401) return { "www-authenticate": "Bearer" };
  const { allow, retryAfterS: waitS } = error instanceof CodedError ? error.details : {};
  if (status === 405 && typeof allow === "string") return { allow };
  return status === 429 && typeof waitS === "number" ? { "retry-after": String(waitS) } : {};
}

function toPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/:\w+/gu, "[^/]+")}$`, "u");
}
