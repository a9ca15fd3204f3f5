import {
  idSchema,
  pageQuerySchema,
  rolloutActionRequestSchema,
  rolloutActionSchema,
  rolloutHistoryEntrySchema,
  rolloutSpecSchema,
  rolloutStatusSchema,
  rolloutSummarySchema,
  toListSchema,
} from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import { rolloutSubject } from "../../rollouts/controller.ts";
import type { RolloutService } from "../../rollouts/service.ts";
import { numberKey, parseCursor, toPage } from "../page-cursor.ts";
import { requirePermission } from "../roles.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const params = z.strictObject({ rollout: idSchema });
const path = "/api/v1/rollouts";

export function createRolloutRoutes(service: RolloutService, store: Store): readonly AnyRoute[] {
  return [
    defineRoute({
      ...{
        method: "POST",
        path,
        summary: "Create a rollout; it starts at once",
        permission: "operate",
        reach: "narrowed",
      },
      audit: ["rollout.create"],
      request: { body: rolloutSpecSchema },
      response: rolloutStatusSchema,
      errors: ["selector_empty", "stages_incomplete", "gate_unfeedable", "release_missing", "rollout_in_progress"],
      handle: async ({ body, by, scope }) => {
        const status = await service.create(body, { ...by, scope });
        return { status: 201, body: status, etag: status.etag };
      },
    }),
    defineRoute({
      ...{ method: "GET", path, summary: "List rollouts, newest first", permission: "read", reach: "narrowed" },
      request: { query: pageQuerySchema },
      response: toListSchema(rolloutSummarySchema),
      handle: async ({ query: { limit, cursor }, scope }) => {
        const found = await service.list({ limit: limit + 1, before: parseCursor(cursor) }, scope);
        return { body: toPage(found, limit, ({ rolloutId }) => rolloutId) };
      },
    }),
    defineRoute({
      ...{
        method: "GET",
        path: `${path}/:rollout`,
        summary: "One rollout with its stages and gates",
        permission: "read",
        reach: "narrowed",
      },
      request: { params },
      response: rolloutStatusSchema,
      errors: ["not_found"],
      handle: async ({ params: { rollout }, scope }) => {
        const status = await service.get(rollout, scope);
        return { body: status, etag: status.etag };
      },
    }),
    defineRoute({
      ...{ method: "POST", path: `${path}/:rollout/actions`, permission: "operate-or-approve", reach: "narrowed" },
      summary: "Pause, resume, promote, abort, undo or retry",
      audit: rolloutActionSchema.options.map((action) => `rollout.${action}`),
      request: { params, body: rolloutActionRequestSchema },
      response: rolloutStatusSchema,
      errors: ["not_found", "transition_refused", "precondition_failed"],
      handle: async ({ params: { rollout }, body, actor, by, caller, headers, scope }) => {
        // Whoever lets a stage pass approves; who only operates may stop, undo and go on.
        requirePermission(caller, actor, body.action === "promote" ? "approve" : "operate");
        const ifMatch = headers.get("if-match")?.replaceAll('"', "") ?? null;
        const status = await service.act({ rolloutId: rollout, ...body, ...by, scope, ifMatch });
        return { body: status, etag: status.etag };
      },
    }),
    defineRoute({
      ...{ method: "GET", path: `${path}/:rollout/history`, permission: "read", reach: "narrowed" },
      summary: "Every decision with the numbers behind it, oldest first",
      request: { params, query: pageQuerySchema },
      response: toListSchema(rolloutHistoryEntrySchema),
      errors: ["not_found"],
      handle: async ({ params: { rollout }, query: { limit, cursor }, scope }) => {
        await service.get(rollout, scope);
        const key = parseCursor(cursor, numberKey);
        const after = key === undefined ? undefined : Number(key);
        const entries = await store.read.audit.listOf(rolloutSubject(rollout), { after, limit: limit + 1 });
        const page = toPage(entries, limit, ({ index }) => String(index));
        const items = page.items.map(({ tsMs, action, reason, details }) => ({
          ...{ tsMs, kind: action.replace("rollout.", ""), reason, details },
          code: typeof details["code"] === "string" ? details["code"] : action.replace("rollout.", ""),
        }));
        return { body: { items, nextCursor: page.nextCursor } };
      },
    }),
  ];
}
