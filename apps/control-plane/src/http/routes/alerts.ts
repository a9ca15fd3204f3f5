import {
  alertSchema,
  idSchema,
  pageQuerySchema,
  resolveAlertRequestSchema,
  toListSchema,
  type Alert,
} from "@fairlead/protocol";
import type { AlertRow, Store } from "@fairlead/store";
import * as z from "zod";
import type { createResolve } from "../../alerts/resolve.ts";
import { createScopeView, listKept } from "../../authority/scope-view.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

function toAlert({ remediationId: _case, ...alert }: AlertRow): Alert {
  return alert;
}

export function createAlertRoutes(store: Store, resolve: ReturnType<typeof createResolve>): readonly AnyRoute[] {
  return [
    defineRoute({
      ...{ method: "GET", path: "/api/v1/alerts", permission: "read", reach: "narrowed" },
      summary: "Alerts, newest first",
      request: { query: pageQuerySchema },
      response: toListSchema(alertSchema),
      handle: async ({ query, scope }) => {
        const before = parseCursor(query.cursor);
        const view = createScopeView(store.read, scope);
        // An alert about no device is about the plane.
        const isKept = async ({ device }: AlertRow) =>
          device === null ? scope.kind === "fleet" : await view.hasDevice(device);
        const readPage = (limit: number, offset: number) => store.read.alerts.list({ limit, offset, before });
        const rows = await listKept(query.limit + 1, readPage, isKept);
        return { body: toPage(rows.map(toAlert), query.limit, ({ alertId }) => alertId) };
      },
    }),
    defineRoute({
      ...{ method: "POST", path: "/api/v1/alerts/:alert/resolve", permission: "administer" },
      summary: "End an alert that nothing but a person's word ends; every other kind ends with its cause.",
      audit: ["alert.resolve"],
      request: { params: z.strictObject({ alert: idSchema }), body: resolveAlertRequestSchema },
      response: alertSchema,
      errors: ["not_found", "conflict"],
      handle: async ({ params: { alert }, body, by }) => ({
        body: toAlert(await resolve(alert, { reason: body.reason, ...by })),
      }),
    }),
  ];
}
