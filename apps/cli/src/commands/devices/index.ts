import type { Command } from "../../command.ts";
import { listDevices } from "./list.ts";
import { describeDeviceCommand, getDevice } from "./get.ts";
import { approveDevice, denyDevice } from "./approve.ts";
import { watchDevices } from "./watch.ts";
import { labelDevice } from "./label.ts";
import { decommissionDevice } from "./decommission.ts";
import { releaseDevice } from "./release.ts";

export const commands: readonly Command[] = [
  listDevices,
  getDevice,
  describeDeviceCommand,
  approveDevice,
  denyDevice,
  watchDevices,
  labelDevice,
  decommissionDevice,
  releaseDevice,
];
