import { CodedError } from "@fairlead/kernel";
import {
  deviceDetailSchema,
  deviceIdSchema,
  deviceSummarySchema,
  isSelected,
  parseSelector,
  patchDeviceRequestSchema,
  selectorSchema,
  toListSchema,
  type HttpErrorCode,
  type Labels,
  toSelectableLabels,
} from "@fairlead/protocol";
import type { Device, Store } from "@fairlead/store";
import * as z from "zod";
import type { AuditLog, DeviceHooks, StreamFeed } from "../../context.ts";
import { isInScope, toScopeText, type Scope } from "../../authority/scope.ts";
import { requireDevice } from "../../devices/require-device.ts";
import { toDeviceDetail, toDeviceSummary } from "../../devices/device-view.ts";
import { requireMatch } from "../middleware/preconditions.ts";
import { parseCursor, toCursor } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

export interface DeviceRouteOptions {
  readonly store: Store;
  readonly audit: AuditLog;
  readonly stream: StreamFeed;
  readonly hooks: () => readonly DeviceHooks[];
}

const params = z.strictObject({ device: deviceIdSchema });

/** The selected devices after a name, at most `limit` and one more; the table is read in pages. */
async function selectDevices(
  store: Store,
  query: { selector: string; scope: Scope; after: string | undefined; limit: number },
) {
  const requirements = parseSelector(query.selector);
  const found: Device[] = [];
  for (let after = query.after ?? ""; ;) {
    const page = await store.read.devices.list({ after, limit: 1_000 });
    for (const device of page) {
      if (isInScope(query.scope, device.labels) && isSelected(requirements, toSelectableLabels(device)))
        found.push(device);
      if (found.length > query.limit) return found;
      after = device.device;
    }
    if (page.length < 1_000) return found;
  }
}

/** A device may not be moved out of the scope of whoever moves it: it would be nobody's, or another's. */
function requireStay(scope: Scope, labels: Labels): void {
  if (isInScope(scope, labels)) return;
  throw new CodedError<HttpErrorCode>(
    "forbidden",
    "with these labels the device would leave the part of the fleet that your token reaches",
    {
      hint: `keep labels that match "${toScopeText(scope) ?? ""}", or ask somebody whose token reaches further`,
    },
  );
}

export async function loadDetail(store: Store, name: string, scope: Scope) {
  const device = await requireDevice(store.read, name, scope);
  const detail = toDeviceDetail(device, {
    rows: await store.read.devices.listSlots(name),
    lastWindow: await store.read.telemetry.getLastWindow(name),
    epochs: await store.read.sequences.listEpochs(name),
  });
  return { body: detail, etag: String(device.revision) };
}

export function createDeviceRoutes(options: DeviceRouteOptions): AnyRoute[] {
  const { audit, store, stream } = options;
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/devices",
      summary: "List devices by name; `selector` is a label selector.",
      permission: "read",
      reach: "narrowed",
      request: {
        query: z.strictObject({
          selector: selectorSchema.default(""),
          limit: z.coerce.number().int().min(1).max(1_000).default(100),
          cursor: z.string().max(256).optional(),
          sort: z.literal("device").optional(),
        }),
      },
      response: toListSchema(deviceSummarySchema),
      errors: ["validation_failed", "bad_request"],
      handle: async ({ query, scope }) => {
        const { selector, limit } = query;
        const found = await selectDevices(store, { selector, scope, limit, after: parseCursor(query.cursor) });
        const page = found.slice(0, limit);
        const rows = await store.read.devices.listSlotsOf(page.map((row) => row.device));
        const slotsOf = (name: string) => rows.filter((row) => row.device === name);
        const last = page.at(-1);
        return {
          body: {
            items: page.map((device) => toDeviceSummary(device, slotsOf(device.device))),
            nextCursor: found.length > limit && last !== undefined ? toCursor(last.device) : null,
          },
        };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/devices/:device",
      summary: "Everything that is known of one device.",
      permission: "read",
      reach: "narrowed",
      request: { params },
      response: deviceDetailSchema,
      errors: ["not_found"],
      handle: async ({ params: { device }, scope }) => await loadDetail(store, device, scope),
    }),
    defineRoute({
      method: "PATCH",
      path: "/api/v1/devices/:device",
      summary: "Replace the labels of a device.",
      permission: "operate",
      reach: "narrowed",
      audit: ["device.label"],
      request: { params, body: patchDeviceRequestSchema },
      response: deviceDetailSchema,
      errors: ["not_found", "precondition_failed"],
      handle: async ({ params: { device }, body, by, headers, scope }) => {
        await store.transaction(async (tx) => {
          const row = await requireDevice(tx, device, scope);
          requireStay(scope, body.labels);
          requireMatch(headers, String(row.revision));
          await tx.devices.update(device, { labels: body.labels, revision: row.revision + 1 });
          const change = { before: row.labels, after: body.labels };
          await audit.append(tx, {
            ...{ ...by, action: "device.label", subject: device },
            ...{ reason: "labels replaced", change },
          });
          await stream.emit(tx, "device", device);
          for (const hooks of options.hooks()) await hooks.onDeviceChanged?.(tx, device);
        });
        return await loadDetail(store, device, scope);
      },
    }),
  ];
}
