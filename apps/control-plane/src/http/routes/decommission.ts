import {
  decommissionRequestSchema,
  deviceDetailSchema,
  deviceIdSchema,
  releaseDeviceRequestSchema,
  wipedRequestSchema,
  wipedResponseSchema,
} from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import type { Decommissions } from "../../devices/decommission.ts";
import type { createRelease } from "../../devices/release.ts";
import { defineRoute, type AnyRoute } from "../route.ts";
import { loadDetail } from "./devices.ts";

export interface DecommissionRouteOptions {
  readonly store: Store;
  readonly decommissions: Decommissions;
  readonly release: ReturnType<typeof createRelease>;
}

const params = z.strictObject({ device: deviceIdSchema });

/** The end of a device: asked for by an operator, said by the device. */
export function createDecommissionRoutes({ store, decommissions, release }: DecommissionRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/devices/:device/decommission",
      summary: "Have a device remove everything and its keys; with `force` it is refused at once and not waited for.",
      permission: "administer",
      reach: "narrowed",
      audit: ["device.decommission-begin", "device.decommission"],
      request: { params, body: decommissionRequestSchema },
      response: deviceDetailSchema,
      errors: ["not_found", "conflict", "precondition_failed"],
      handle: async ({ params: { device }, body, by, headers, scope }) => {
        await decommissions.begin(device, { ...body, ...by, headers, scope });
        return await loadDetail(store, device, scope);
      },
    }),
    defineRoute({
      method: "DELETE",
      path: "/api/v1/devices/:device",
      summary: "Decommission a device by force: its certificate is refused from now on, its history stays.",
      permission: "administer",
      reach: "narrowed",
      audit: ["device.decommission"],
      request: { params },
      response: deviceDetailSchema,
      errors: ["not_found", "precondition_failed"],
      handle: async ({ params: { device }, by, headers, scope }) => {
        await decommissions.begin(device, { force: true, reason: "by an operator", ...by, headers, scope });
        return await loadDetail(store, device, scope);
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/devices/:device/release",
      summary: "End the quarantine of a device that was used twice: it needs another key and a new token.",
      permission: "administer",
      reach: "narrowed",
      audit: ["device.release"],
      request: { params, body: releaseDeviceRequestSchema },
      response: deviceDetailSchema,
      errors: ["not_found", "conflict", "precondition_failed"],
      handle: async ({ params: { device }, body, by, headers, scope }) => {
        await release(device, { ...body, ...by, headers, scope });
        return await loadDetail(store, device, scope);
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/device/wiped",
      summary: "The calling device holds nothing more but its keys; its certificate ends with the answer.",
      permission: "device",
      audit: ["device.decommission"],
      request: { body: wipedRequestSchema },
      response: wipedResponseSchema,
      errors: ["not_found", "conflict"],
      bodyBytes: 1_024,
      // The device has no certificate left to ask for a kept answer with.
      idempotent: false,
      handle: async ({ by }) => {
        await decommissions.confirm(by.actor.slice("device:".length), by);
        return { body: { ended: true } as const };
      },
    }),
  ];
}
