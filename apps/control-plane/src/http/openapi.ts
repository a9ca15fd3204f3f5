import { httpStatusByCode, problemSchema, type HttpErrorCode } from "@fairlead/protocol";
import * as z from "zod";
import type { AnyRoute } from "./route.ts";

const general: readonly HttpErrorCode[] = ["internal", "rate_limited", "timeout", "storage_full"];

function toSchema(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any", reused: "inline" });
  return rest;
}

function toParameters(schema: z.ZodType | undefined, place: "path" | "query"): unknown[] {
  if (schema === undefined) return [];
  const object = toSchema(schema, "input");
  const required = new Set(Array.isArray(object["required"]) ? (object["required"] as string[]) : []);
  const properties = (object["properties"] ?? {}) as Record<string, unknown>;
  return Object.entries(properties).map(([name, value]) => ({
    name,
    in: place,
    required: place === "path" || required.has(name),
    schema: value,
  }));
}

function toErrors(route: AnyRoute): Record<string, unknown> {
  const own: HttpErrorCode[] = [...general, ...(route.errors ?? [])];
  if (route.permission !== "public") own.push("unauthenticated", "forbidden");
  if (route.request.body !== undefined) own.push("bad_request", "validation_failed", "payload_too_large");
  const byStatus = new Map<number, HttpErrorCode[]>();
  for (const code of new Set(own)) {
    const status = httpStatusByCode[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [status, { description: codes.join(", "), content }]),
  );
}

const security: Readonly<Record<AnyRoute["permission"], unknown[]>> = {
  public: [],
  device: [{ deviceCertificate: [] }],
  read: [{ token: [] }, { session: [] }],
  "read-or-device": [{ token: [] }, { session: [] }, { deviceCertificate: [] }],
  operate: [{ token: [] }, { session: [] }],
  "operate-or-approve": [{ token: [] }, { session: [] }],
  publish: [{ token: [] }, { session: [] }],
  approve: [{ token: [] }, { session: [] }],
  administer: [{ token: [] }, { session: [] }],
};

function toOperation(route: AnyRoute): Record<string, unknown> {
  const { request, response } = route;
  const body = request.body;
  const answer = response === null ? {} : { content: { "application/json": { schema: toSchema(response, "output") } } };
  return {
    summary: route.summary,
    security: security[route.permission],
    "x-permission": route.permission,
    "x-reach": route.reach ?? "fleet",
    ...(route.audit === undefined ? {} : { "x-audit": route.audit }),
    parameters: [...toParameters(request.params, "path"), ...toParameters(request.query, "query")],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: toSchema(body, "input") } } } }),
    responses: { "2XX": { description: "done", ...answer }, ...toErrors(route) },
  };
}

/** OpenAPI 3.1 from the very schemas that validate. */
export function toOpenApi(routes: readonly AnyRoute[]): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/gu, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: toOperation(route) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Fairlead control plane", version: "1" },
    paths,
    components: {
      schemas: { Problem: toSchema(problemSchema, "output") },
      securitySchemes: {
        token: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: "__Host-fairlead" },
        deviceCertificate: { type: "mutualTLS" },
      },
    },
  };
}
