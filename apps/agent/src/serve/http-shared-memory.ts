import type { BodyMemory } from "./body-memory.ts";
import { readBody } from "./http-body.ts";
import { checkMethod, sendJson, unknownRoute, type Exchange } from "./http-exchange.ts";
import { ServeError } from "./serving-error.ts";
import type { SharedRegions } from "./shared-regions.ts";

export interface SharedMemoryContext {
  readonly shared: SharedRegions;
  readonly memory: BodyMemory;
}

/** Triton's system shared memory extension: what lies below /v2/systemsharedmemory. */
export async function handleSharedMemory(
  { shared, memory }: SharedMemoryContext,
  exchange: Exchange,
  path: readonly string[],
): Promise<void> {
  const [area, region] = path;
  const name = area === "region" ? (region ?? null) : null;
  const known = area === "region" ? path.length === 3 : path.length === 1;
  const action = path.at(-1);
  if (!known || (action === "register" && name === null)) throw unknownRoute();
  switch (action) {
    case "status":
      checkMethod(exchange, "GET");
      return sendJson(exchange.response, 200, shared.list(name));
    case "register": {
      checkMethod(exchange, "POST");
      shared.register(name ?? "", await readDocument(exchange, memory));
      return sendJson(exchange.response, 200, {});
    }
    case "unregister": {
      checkMethod(exchange, "POST");
      await readBody(exchange.request, { maxBytes: 65_536, jsonBytes: null, memory });
      shared.unregister(name);
      return sendJson(exchange.response, 200, {});
    }
    default:
      throw unknownRoute();
  }
}

async function readDocument({ request }: Exchange, memory: BodyMemory): Promise<unknown> {
  const bytes = await readBody(request, { maxBytes: 65_536, jsonBytes: null, memory });
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new ServeError("request_invalid", "failed to parse the request JSON buffer", error);
  }
}
