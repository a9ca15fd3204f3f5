import { acceptConfigurationRequestSchema, deviceDetailSchema, deviceIdSchema } from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import type { createAcceptConfiguration } from "../../devices/accept-configuration.ts";
import { defineRoute, type AnyRoute } from "../route.ts";
import { loadDetail } from "./devices.ts";

export interface AcceptConfigurationRouteOptions {
  readonly store: Store;
  readonly accept: ReturnType<typeof createAcceptConfiguration>;
}

const params = z.strictObject({ device: deviceIdSchema });

/** An operator's word that the configuration of a device was changed on purpose. */
export function createAcceptConfigurationRoutes({ store, accept }: AcceptConfigurationRouteOptions): AnyRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/api/v1/devices/:device/accept-configuration",
      summary:
        "Make the configuration that a device measured, as read, what is expected of it; never its model or agent.",
      permission: "administer",
      reach: "narrowed",
      audit: ["device.accept-configuration"],
      request: { params, body: acceptConfigurationRequestSchema },
      response: deviceDetailSchema,
      errors: ["not_found", "conflict", "precondition_failed"],
      handle: async ({ params: { device }, body, by, headers, scope }) => {
        await accept(device, { ...body, ...by, headers, scope });
        return await loadDetail(store, device, scope);
      },
    }),
  ];
}
