import { auditEntrySchema, toListSchema, type AuditEntry } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import type { Scope } from "../../authority/scope.ts";
import { createScopeView } from "../../authority/scope-view.ts";
import { verifyAudit } from "../../audit/audit-log.ts";
import { numberKey, parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

type AuditQuery = Parameters<Store["read"]["audit"]["list"]>[0];

/** The newest entries in scope, at most `limit`; the log is read in pieces until there are enough. */
async function listEntries(store: Store, scope: Scope, query: AuditQuery): Promise<AuditEntry[]> {
  if (scope.kind === "fleet") return await store.read.audit.list(query);
  const view = createScopeView(store.read, scope);
  const kept: AuditEntry[] = [];
  for (let before = query.before; ;) {
    const page = await store.read.audit.list({ ...query, limit: 1_000, ...(before === undefined ? {} : { before }) });
    for (const entry of page) {
      if (await view.hasEntry(entry)) kept.push(entry);
      if (kept.length === query.limit) return kept;
      before = entry.index;
    }
    if (page.length < 1_000) return kept;
  }
}

export function createAuditRoutes(store: Store): AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/audit",
      summary: "Who did what to whom and why, newest first.",
      permission: "read",
      reach: "narrowed",
      request: {
        query: z.strictObject({
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          cursor: z.string().max(256).optional(),
          subject: z.string().max(128).optional(),
        }),
      },
      response: toListSchema(auditEntrySchema),
      handle: async ({ query, scope }) => {
        const cursor = parseCursor(query.cursor, numberKey);
        const entries = await listEntries(store, scope, {
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
