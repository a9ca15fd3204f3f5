import { CodedError } from "@fairlead/kernel";
import {
  idSchema,
  pageQuerySchema,
  releasesInUseSchema,
  signedReleaseSchema,
  toListSchema,
  type HttpErrorCode,
} from "@fairlead/protocol";
import * as z from "zod";
import type { RegistryContext } from "../../registry/store-artifact.ts";
import { listReleasesInUse } from "../../registry/releases-in-use.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export function createReleaseRoutes(context: RegistryContext): readonly AnyRoute[] {
  const { read } = context.store;
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/releases",
      summary: "List the releases in the order of their signing",
      permission: "read",
      reach: "shared",
      request: { query: pageQuerySchema },
      response: toListSchema(signedReleaseSchema),
      handle: async ({ query: { limit, cursor } }) => {
        const after = parseCursor(cursor);
        const rows = await read.releases.list({ limit: limit + 1, ...(after === undefined ? {} : { after }) });
        const page = toPage(rows, limit, ({ releaseId }) => releaseId);
        return { body: { ...page, items: page.items.map(({ document }) => document) } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/releases/in-use",
      summary: "Ids of the releases that some device or rollout uses",
      permission: "read",
      request: {},
      response: releasesInUseSchema,
      handle: async () => ({ body: { releases: await listReleasesInUse(read) } }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/releases/:release",
      summary: "One release",
      permission: "read",
      reach: "shared",
      request: { params: z.strictObject({ release: idSchema }) },
      response: signedReleaseSchema,
      handle: async ({ params: { release } }) => {
        const row = await read.releases.get(release);
        if (row === undefined) throw new CodedError<HttpErrorCode>("not_found", `no release is named ${release}`);
        return { body: row.document };
      },
    }),
  ];
}
