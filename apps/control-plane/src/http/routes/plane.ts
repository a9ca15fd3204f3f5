import { CodedError } from "@fairlead/kernel";
import { caResponseSchema, type HttpErrorCode } from "@fairlead/protocol";
import * as z from "zod";
import { defineRoute, type AnyRoute } from "../route.ts";
import { toOpenApi } from "../openapi.ts";

export interface PlaneRouteOptions {
  readonly ca: string;
  /** null when ready, else why not. */
  readonly whyNotReady: () => Promise<string | null>;
  readonly toMetrics: () => Promise<string>;
  /** All routes, for the description. */
  readonly routes: () => readonly AnyRoute[];
}

const stateSchema = z.object({ status: z.string() });

export function createPlaneRoutes(options: PlaneRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/healthz",
      summary: "The process runs.",
      permission: "public",
      traffic: "probe",
      request: {},
      response: stateSchema,
      handle: async () => ({ body: { status: "ok" } }),
    }),
    defineRoute({
      method: "GET",
      path: "/readyz",
      summary: "The plane stores and listens.",
      permission: "public",
      traffic: "probe",
      request: {},
      response: stateSchema,
      errors: ["unavailable"],
      handle: async () => {
        const why = await options.whyNotReady();
        if (why !== null) throw new CodedError<HttpErrorCode>("unavailable", why, { hint: "see the log of the plane" });
        return { body: { status: "ready" } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/metrics",
      summary: "Prometheus metrics of the plane.",
      permission: "read",
      request: {},
      response: null,
      handle: async () =>
        new Response(await options.toMetrics(), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/ca",
      summary:
        "The authority's certificate; compare its SHA-256 with the second part of your token before you trust it.",
      permission: "public",
      request: {},
      response: caResponseSchema,
      handle: async () => ({ body: { ca: options.ca } }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/openapi.json",
      summary: "This description.",
      permission: "public",
      request: {},
      response: null,
      handle: async () =>
        new Response(JSON.stringify(toOpenApi(options.routes())), { headers: { "content-type": "application/json" } }),
    }),
  ];
}
