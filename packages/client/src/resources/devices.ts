import {
  deviceDetailSchema,
  deviceSummarySchema,
  type DeviceDetail,
  type DeviceSummary,
  type Labels,
} from "@fairlead/protocol";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface DevicesClient {
  list(options?: ListOptions): Promise<DeviceSummary[]>;
  get(device: string): Promise<DeviceDetail>;
  /** Replaces every label. */
  setLabels(device: string, labels: Labels): Promise<DeviceDetail>;
}

export function createDevicesClient(transport: Transport): DevicesClient {
  return {
    list: (options) => readAll(transport, { path: ["devices"], item: deviceSummarySchema }, options),
    get: (device) => transport.read(deviceDetailSchema, { method: "GET", path: ["devices", device] }),
    setLabels: (device, labels) =>
      transport.read(deviceDetailSchema, { method: "PATCH", path: ["devices", device], json: { labels } }),
  };
}
