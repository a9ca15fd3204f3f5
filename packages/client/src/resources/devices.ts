import {
  deviceDetailSchema,
  deviceSummarySchema,
  type AcceptConfigurationRequest,
  type DecommissionRequest,
  type DeviceDetail,
  type DeviceSummary,
  type Labels,
} from "@fairlead/protocol";
import type { Tagged, Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface DevicesClient {
  list(options?: ListOptions): Promise<DeviceSummary[]>;
  get(device: string): Promise<DeviceDetail>;
  /** With the entity tag that a later write may be made against. */
  getTagged(device: string): Promise<Tagged<DeviceDetail>>;
  /** Replaces every label; `etag` makes it fail with `precondition_failed` when the device was changed meanwhile. */
  setLabels(device: string, labels: Labels, etag?: string): Promise<DeviceDetail>;
  decommission(device: string, request?: DecommissionRequest): Promise<DeviceDetail>;
  /** Ends the quarantine of a device whose identity was used in two places. */
  release(device: string, reason: string): Promise<DeviceDetail>;
  /** Makes the named files of its configuration, as read in `changedConfiguration`, what is expected of the device. */
  acceptConfiguration(device: string, request: AcceptConfigurationRequest): Promise<DeviceDetail>;
}

export function createDevicesClient(transport: Transport): DevicesClient {
  return {
    list: (options) => readAll(transport, { path: ["devices"], item: deviceSummarySchema }, options),
    get: (device) => transport.read(deviceDetailSchema, { method: "GET", path: ["devices", device] }),
    getTagged: (device) => transport.readTagged(deviceDetailSchema, { method: "GET", path: ["devices", device] }),
    decommission: (device, json = {}) =>
      transport.read(deviceDetailSchema, { method: "POST", path: ["devices", device, "decommission"], json }),
    release: (device, reason) =>
      transport.read(deviceDetailSchema, { method: "POST", path: ["devices", device, "release"], json: { reason } }),
    acceptConfiguration: (device, json) =>
      transport.read(deviceDetailSchema, { method: "POST", path: ["devices", device, "accept-configuration"], json }),
    setLabels: (device, labels, etag) =>
      transport.read(deviceDetailSchema, {
        method: "PATCH",
        path: ["devices", device],
        json: { labels },
        ...(etag === undefined ? {} : { headers: { "if-match": etag } }),
      }),
  };
}
