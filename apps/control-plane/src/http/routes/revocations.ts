import { revocationsSchema } from "@fairlead/protocol";
import type { RevocationReader } from "../../devices/revocations.ts";
import { toEntityTag } from "../middleware/preconditions.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export function createRevocationRoutes(revocations: RevocationReader): AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/revocations",
      summary: "Certificates and devices that a broker of your own has to refuse.",
      permission: "read",
      request: {},
      response: revocationsSchema,
      handle: async ({ headers }) => {
        const read = await revocations.read();
        const tag = toEntityTag(read.etag);
        // Brokers ask every few seconds, and the list of a large fleet has megabytes.
        return headers.get("if-none-match") === tag
          ? new Response(null, { status: 304, headers: { etag: tag } })
          : read;
      },
    }),
  ];
}
