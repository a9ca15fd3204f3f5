import { readSmallBody, type DocumentContext } from "./http-body.ts";
import { checkMethod, sendJson, unknownRoute, type Exchange } from "./http-exchange.ts";
import type { Loads } from "./loads.ts";
import type { RepositoryAsks } from "./repository-asks.ts";
import { ServeError } from "./serving-error.ts";

export interface RepositoryContext extends DocumentContext {
  readonly loads: Loads;
  readonly repository: RepositoryAsks;
}

/**
 * Triton's model repository extension: what lies below /v2/repository. The index is real; a load brings back what the
 * signed desired state assigned and nothing else, so a configuration or a file in the request is refused.
 */
export async function handleRepository(
  context: RepositoryContext,
  exchange: Exchange,
  path: readonly string[],
): Promise<void> {
  checkMethod(exchange, "POST");
  const { loads, repository } = context;
  const bytes = await readSmallBody(exchange.request, context);
  const [area, model = "", ask] = path;
  if (area === "models" && path.length === 3 && (ask === "load" || ask === "unload")) {
    refuseParameters(bytes);
    await repository.ask(ask, model);
    return sendJson(exchange.response, 200, {});
  }
  if (area !== "index" || path.length !== 1) throw unknownRoute();
  const readyOnly = parse(bytes)["ready"] === true;
  const entries = loads.list().map(({ load, stoppedReason }) => {
    const reason = stoppedReason ?? (load.hung ? "a run passed its deadline" : "");
    return { name: load.target.name, version: load.version, state: reason === "" ? "READY" : "UNAVAILABLE", reason };
  });
  sendJson(exchange.response, 200, readyOnly ? entries.filter((entry) => entry.state === "READY") : entries);
}

function parse(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  if (bytes.length === 0) return {};
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  } catch (error) {
    throw new ServeError("request_invalid", "failed to parse the request JSON buffer", error);
  }
  throw new ServeError("request_invalid", "the request is no JSON object");
}

function refuseParameters(bytes: Uint8Array): void {
  const { parameters = {} } = parse(bytes);
  if (typeof parameters !== "object" || parameters === null)
    throw new ServeError("request_invalid", "'parameters' is no JSON object");
  const [given] = Object.keys(parameters).filter((name) => name !== "unload_dependents");
  if (given === undefined) return;
  throw new ServeError(
    "policy_refused",
    `parameter '${given.slice(0, 64)}' is refused: a device loads what its signed desired state assigns, as it is`,
  );
}
