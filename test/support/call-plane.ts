import { readFileSync } from "node:fs";
import { request } from "node:https";
import type { ClientRequest } from "node:http";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import type { TestPlane } from "./plane.ts";

export interface PlaneCall {
  readonly method: string;
  readonly path: string;
  readonly token?: string;
  readonly json?: unknown;
  /** A body that is not JSON. */
  readonly bytes?: Uint8Array;
  /** A device's, in place of a token. */
  readonly identity?: { readonly key: string; readonly cert: string };
  readonly headers?: Readonly<Record<string, string>>;
  /** An address of this machine to call from, where limits per address are not what is tested: `127.0.0.9`. */
  readonly from?: string;
}
export interface PlaneAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

const toCa = (plane: TestPlane): string => readFileSync(join(plane.dir, "data", "ca.pem"), "utf8");

function open(plane: TestPlane, call: PlaneCall): ClientRequest {
  const { method, path, token, json, bytes, identity, headers, from } = call;
  const sent = request(`${plane.url}${path}`, {
    ...{ method, ca: toCa(plane), ...identity, ...(from === undefined ? {} : { localAddress: from, family: 4 }) },
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
  });
  sent.end(json === undefined ? bytes : JSON.stringify(json));
  return sent;
}

function toBody(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** One request on a connection of its own, with exactly these headers. A stream is answered with its head. */
export function callPlane(plane: TestPlane, call: PlaneCall): Promise<PlaneAnswer> {
  return new Promise((resolve, reject) => {
    const sent = open(plane, call);
    sent.on("error", reject);
    sent.on("response", (response) => {
      const { headers, statusCode: status = 0 } = response;
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("close", () => resolve({ status, headers, body: toBody(text) }));
      if (headers["content-type"]?.startsWith("text/event-stream") === true) response.destroy();
    });
  });
}

export interface RouteFacts {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly permission: string;
  readonly reach: string;
  /** False for what anybody or only devices may call. */
  readonly isForPeople: boolean;
  /** What the audit log holds after a change by it; undefined: the route says nothing about it. */
  readonly audit: readonly string[] | { readonly none: string } | undefined;
  readonly hasBody: boolean;
}

interface Operation {
  readonly "x-permission"?: string;
  readonly "x-reach"?: string;
  readonly "x-audit"?: RouteFacts["audit"];
  readonly requestBody?: object;
}

/** Every route as the plane's own description names it. */
export async function readRoutes(plane: TestPlane): Promise<RouteFacts[]> {
  const { paths } = await plane.get<{ paths: Record<string, Record<string, Operation>> }>("/api/v1/openapi.json");
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([lower, operation]) => {
      const method = lower.toUpperCase();
      const permission = operation["x-permission"] ?? "";
      const isForPeople = permission !== "public" && permission !== "device";
      return {
        ...{ name: `${method} ${path}`, method, path, permission, reach: operation["x-reach"] ?? "", isForPeople },
        ...{ audit: operation["x-audit"], hasBody: operation.requestBody !== undefined },
      };
    }),
  );
}

/** Server-sent events as they come, from the moment that the plane listens. */
export async function listenToPlane(plane: TestPlane, token: string, headers: Readonly<Record<string, string>> = {}) {
  let text = "";
  let status = 0;
  let isOpen = true;
  const sent = open(plane, { method: "GET", path: "/api/v1/events", headers, ...(token === "" ? {} : { token }) });
  sent.on("error", () => (isOpen = false));
  sent.on("response", (response) => {
    status = response.statusCode ?? 0;
    response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    response.on("error", () => undefined);
    response.on("close", () => (isOpen = false));
  });
  await eventually("the plane answers the listener", () => text !== "");
  return {
    status,
    text: () => text,
    isOpen: () => isOpen,
    heard: (pattern: RegExp) => eventually(`the listener hears ${pattern.source}`, () => pattern.test(text)),
    [Symbol.asyncDispose]: async () => {
      sent.destroy();
    },
  };
}
