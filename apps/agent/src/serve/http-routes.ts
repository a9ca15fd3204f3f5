import { checkMethod, sendJson, unknownRoute, type Exchange } from "./http-exchange.ts";
import { handleInfer, type InferContext, type InferTarget } from "./http-infer.ts";
import { handleRepository } from "./http-repository.ts";
import { handleSharedMemory } from "./http-shared-memory.ts";
import type { Load } from "./load.ts";
import { toConfigDocument, toModelDocument, toServerDocument } from "./model-documents.ts";
import type { RepositoryAsks } from "./repository-asks.ts";

export interface RouteContext extends InferContext {
  readonly repository: RepositoryAsks;
  /** False while the process shuts down. */
  accepting(): boolean;
}

/** Answers one request, or throws what http-server.ts turns into a status and `{"error": …}`. */
export async function route(context: RouteContext, exchange: Exchange): Promise<void> {
  const { request } = exchange;
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const segments = path.split("/").slice(1).map(decode);
  if (segments.at(-1) === "") segments.pop();
  const [root, area] = segments;
  if (root !== "v2") throw unknownRoute();
  if (area === undefined) return get(exchange, toServerDocument(context.shared.allowed));
  if (area === "health") return health(context, exchange, segments[2]);
  if (area === "models") return models(context, exchange, segments.slice(2));
  if (area === "repository") return handleRepository(context, exchange, segments.slice(2));
  if (area === "systemsharedmemory") return handleSharedMemory(context, exchange, segments.slice(2));
  throw unknownRoute();
}

function decode(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    throw unknownRoute();
  }
}

/** Both keys at both paths: the protocol's text contradicts itself about which belongs where. */
function health(context: RouteContext, exchange: Exchange, kind: string | undefined): void {
  if (kind !== "live" && kind !== "ready") throw unknownRoute();
  checkMethod(exchange, "GET");
  const ready = context.accepting() && !context.loads.hung;
  sendJson(exchange.response, kind === "live" || ready ? 200 : 503, { live: true, ready });
}

async function models(context: RouteContext, exchange: Exchange, path: readonly string[]): Promise<void> {
  const [model, ...rest] = path;
  if (model === undefined) throw unknownRoute();
  if (model === "stats" && rest.length === 0) {
    return get(exchange, toStatistics(context.loads.list().map(({ load }) => load)));
  }
  let version: string | null = null;
  if (rest[0] === "versions" && rest[1] !== undefined) {
    version = rest[1];
    rest.splice(0, 2);
  }
  if (rest.length > 1) throw unknownRoute();
  const target = { model, version };
  if (rest[0] !== "infer") return describeModel(context, exchange, { ...target, what: rest[0] });
  checkMethod(exchange, "POST");
  await handleInfer(context, target, exchange);
}

function describeModel(
  context: RouteContext,
  exchange: Exchange,
  target: InferTarget & { readonly what: string | undefined },
): void {
  const { load, stoppedReason } = context.loads.find(target.model, target.version);
  const all = context.loads.listOf(target.model);
  switch (target.what) {
    case undefined:
      return get(exchange, toModelDocument(load, all));
    case "config":
      return get(exchange, toConfigDocument(load, all));
    case "stats":
      return get(exchange, toStatistics(target.version === null ? all : [load]));
    case "ready": {
      checkMethod(exchange, "GET");
      const ready = stoppedReason === null && !load.hung;
      return sendJson(exchange.response, ready ? 200 : 503, { name: load.target.name, ready });
    }
    default:
      throw unknownRoute();
  }
}

/** Triton's statistics extension: one entry per version. */
function toStatistics(loads: readonly Load[]): object {
  return { model_stats: loads.map(({ statistics, target, version }) => statistics.toDocument(target.name, version)) };
}

function get(exchange: Exchange, document: object): void {
  checkMethod(exchange, "GET");
  sendJson(exchange.response, 200, document);
}
