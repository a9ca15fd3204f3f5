import type { Client } from "@fairlead/client";
import type { DeviceDetail } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";
import { describeDevice, toDeviceView } from "./view.ts";

export const deviceArgument = { syntax: "<device>", description: "the device's name" };

export function findDevice(client: Client, name: string): Promise<DeviceDetail> {
  return findOrSuggest(kinds.device, name, {
    find: () => client.devices.get(name),
    listNames: async () => (await client.devices.list()).map((device) => device.device),
  });
}

export const getDevice: Command = {
  noun: "devices",
  verb: "get",
  summary: "Show one device as a line, or whole with -o json",
  arguments: [deviceArgument],
  async run({ client, out }, input) {
    const device = await findDevice(await client(), firstArgument(input));
    if (out.isStructured) out.value(device);
    else out.list([device], toDeviceView(out));
  },
};

export const describeDeviceCommand: Command = {
  noun: "devices",
  verb: "describe",
  summary: "Show everything that is known about a device",
  arguments: [deviceArgument],
  async run({ client, out }, input) {
    const device = await findDevice(await client(), firstArgument(input));
    out.one(device, { name: (item) => item.device, describe: (item) => describeDevice(item, out) });
  },
};
