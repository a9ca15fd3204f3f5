import type { HttpErrorCode, Role } from "@fairlead/protocol";
import type * as z from "zod";
import type { Scope } from "../authority/scope.ts";
import type { Asker } from "../context.ts";
import type { Traffic } from "./middleware/caller-limit.ts";

/** What a caller must be allowed to call a route; every route names one. Roles are sets of these: see `roles.ts`. */
export type Permission =
  | "public"
  | "device"
  | "read"
  | "read-or-device"
  | "operate"
  /** Which of the two, the handler says by what is asked. */
  | "operate-or-approve"
  | "publish"
  | "approve"
  | "administer";

export type Caller =
  | { readonly kind: "token"; readonly role: Role; readonly tokenId: string; readonly scope: Scope }
  | {
      readonly kind: "oidc";
      readonly role: Role;
      readonly scope: Scope;
      readonly issuer: string;
      readonly subject: string;
      readonly expiresAtMs: number;
    }
  | { readonly kind: "device"; readonly device: string }
  | { readonly kind: "anonymous" };

interface RouteSchemas {
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
}
type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

export interface RouteRequest<Schemas extends RouteSchemas> {
  readonly caller: Caller;
  /** Which devices the caller may see and touch; a route that says `narrowed` answers for these alone. */
  readonly scope: Scope;
  /** `<role>:<token id>`, `oidc:<issuer>#<subject>` or `device:<id>`, as the audit log names actors. */
  readonly actor: string;
  /** The same with the address of the call, as audit entries name it. */
  readonly by: Asker;
  /** Whether what the caller came with would still be let in; for answers that go on for long. */
  readonly mayStill: () => Promise<boolean>;
  readonly params: Parsed<Schemas["params"]>;
  readonly query: Parsed<Schemas["query"]>;
  readonly body: Parsed<Schemas["body"]>;
  readonly headers: Headers;
  /** The unread body; only routes with `body` absent may read it, and must bound what they read. */
  readonly raw: Request;
  readonly remoteAddress: string;
  readonly signal: AbortSignal;
}

/** A plain answer, or a `Response` for streams and bytes. */
export interface RouteAnswer<Body> {
  readonly status?: 200 | 201 | 202 | 204;
  readonly body: Body;
  /** Entity tag without quotes. */
  readonly etag?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Route<Schemas extends RouteSchemas, Answer extends z.ZodType> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD";
  /** Hono form: `/api/v1/devices/:device`. */
  readonly path: string;
  readonly summary: string;
  readonly permission: Permission;
  /**
   * What a caller of a part of the fleet finds here: `narrowed` its part, where everything else does not exist; `shared`
   * what is the same for everybody. A route that says nothing is about the whole fleet and refuses such a caller.
   */
  readonly reach?: "narrowed" | "shared";
  /**
   * Which actions the audit log holds when this route changed something: every route that may change something says so, and
   * one that changes nothing says why. `test/integration/audit-guard.test.ts` calls each and reads the log.
   */
  readonly audit?: readonly string[] | { readonly none: string };
  /** What is parsed before the handler runs; unknown query and body fields are refused by strict schemas. */
  readonly request: Schemas;
  /** Schema of a JSON answer; null for streams, bytes and empty answers. */
  readonly response: Answer | null;
  /** Codes that this route may answer beside the general ones, for the documentation. */
  readonly errors?: readonly HttpErrorCode[];
  /** Largest body in bytes; default `limits.httpJsonBytes`. Only applies to parsed bodies. */
  readonly bodyBytes?: number;
  /** null: no time limit (streams, uploads). Default 30 s. */
  readonly timeoutMs?: number | null;
  /** Whose bucket a request is taken from; default `api`. */
  readonly traffic?: Traffic;
  /** POST, PATCH and DELETE honour `Idempotency-Key` unless this is false. */
  readonly idempotent?: boolean;
  readonly handle: (request: RouteRequest<Schemas>) => Promise<RouteAnswer<z.input<Answer>> | Response>;
}

/** What the application mounts: a route whose schemas were checked where it was defined. */
export interface AnyRoute extends Omit<Route<RouteSchemas, z.ZodType>, "handle"> {
  readonly handle: (request: RouteRequest<never>) => Promise<RouteAnswer<unknown> | Response>;
}

/**
 * One route: validates, runs and documents itself.
 *
 *     defineRoute({ method: "GET", path: "/api/v1/things/:thing", summary: "…", permission: "read",
 *       request: { params: z.strictObject({ thing: idSchema }) }, response: thingSchema,
 *       handle: async ({ params }) => ({ body: await load(params.thing) }) })
 */
export function defineRoute<Schemas extends RouteSchemas, Answer extends z.ZodType>(
  route: Route<Schemas, Answer>,
): AnyRoute {
  // The application parses with exactly these schemas before it calls the handler.
  return route as unknown as AnyRoute;
}
