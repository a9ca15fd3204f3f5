import { readSmallBody, type DocumentContext } from "./http-body.ts";
import { checkMethod, sendJson, unknownRoute, type Exchange } from "./http-exchange.ts";
import { ServeError } from "./serving-error.ts";
import type { SharedRegions } from "./shared-regions.ts";

export interface SharedMemoryContext extends DocumentContext {
  readonly shared: SharedRegions;
}

/** Triton's system shared memory extension: what lies below /v2/systemsharedmemory. */
export async function handleSharedMemory(
  context: SharedMemoryContext,
  exchange: Exchange,
  path: readonly string[],
): Promise<void> {
  const { shared } = context;
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
      shared.register(name ?? "", await readDocument(exchange, context));
      return sendJson(exchange.response, 200, {});
    }
    case "unregister": {
      checkMethod(exchange, "POST");
      await readSmallBody(exchange.request, context);
      shared.unregister(name);
      return sendJson(exchange.response, 200, {});
    }
    default:
      throw unknownRoute();
  }
}

async function readDocument({ request }: Exchange, context: DocumentContext): Promise<unknown> {
  const bytes = await readSmallBody(request, context);
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new ServeError("request_invalid", "failed to parse the request JSON buffer", error);
  }
}
