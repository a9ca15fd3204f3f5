import { auditEntrySchema, toListSchema } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import { z } from "zod";
import { verifyAudit } from "../../audit/audit-log.ts";
import { numberKey, parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export function createAuditRoutes(store: Store): AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/audit",
      summary: "Who did what to whom and why, newest first.",
      permission: "read",
      request: {
        query: z.strictObject({
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          cursor: z.string().max(256).optional(),
          subject: z.string().max(128).optional(),
        }),
      },
      response: toListSchema(auditEntrySchema),
      handle: async ({ query }) => {
        const cursor = parseCursor(query.cursor, numberKey);
        const entries = await store.read.audit.list({
          limit: query.limit + 1,
          ...(cursor === undefined ? {} : { before: Number(cursor) }),
          ...(query.subject === undefined ? {} : { subject: query.subject }),
        });
        return { body: toPage(entries, query.limit, (entry) => String(entry.index)) };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/audit/verification",
      summary: "Walk the hash chain. Keep `head` elsewhere: a log that was shortened no longer reaches it.",
      permission: "read",
      request: {},
      response: z.object({
        verified: z.boolean(),
        entries: z.int(),
        head: z.string().nullable(),
        reason: z.string().nullable(),
      }),
      handle: async () => ({ body: await verifyAudit(store) }),
    }),
  ];
}
