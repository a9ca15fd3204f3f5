import { CodedError } from "@fairlead/kernel";
import {
  createReleaseRequestSchema,
  idSchema,
  listQuerySchema,
  signedReleaseSchema,
  toListSchema,
  type HttpErrorCode,
} from "@fairlead/protocol";
import { z } from "zod";
import { signRelease } from "../../registry/sign-release.ts";
import type { RegistryContext } from "../../registry/store-artifact.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export function createReleaseRoutes(context: RegistryContext): readonly AnyRoute[] {
  const { read } = context.store;
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/releases",
      summary: "Sign a registered version, so that devices may install it",
      permission: "admin",
      request: { body: createReleaseRequestSchema },
      response: signedReleaseSchema,
      errors: ["not_found"],
      handle: async ({ body, actor }) => ({ status: 201, body: await signRelease(context, body, actor) }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/releases",
      summary: "List the releases in the order of their signing",
      permission: "admin",
      request: { query: listQuerySchema },
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
      path: "/api/v1/releases/:release",
      summary: "One signed release",
      permission: "admin",
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
