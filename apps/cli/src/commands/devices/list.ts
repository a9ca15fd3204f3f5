import type { Client } from "@fairlead/client";
import type { Command } from "../../command.ts";
import { readSelector } from "../../parse-selector.ts";
import { toDeviceView } from "./view.ts";

/** Devices that nobody has approved yet; 0 for whoever may not see them. */
async function countWaiting(client: Client): Promise<number> {
  const enrolments = await client.enrolments.list().catch(() => []);
  return enrolments.filter(({ state }) => state === "pending").length;
}

export const selectorOption = {
  flags: "-l, --selector <selector>",
  description: "label selector: site=berlin,arch in (arm64),!canary",
};

export const listDevices: Command = {
  noun: "devices",
  verb: "list",
  summary: "List devices with their health and what they run",
  options: [selectorOption],
  async run({ client, out }, input) {
    const selection = readSelector(input);
    const api = await client();
    const devices = await api.devices.list(selection);
    const view = toDeviceView(out);
    if (devices.length > 0 || out.isStructured) return out.list(devices, view);
    if (selection.selector !== undefined)
      return out.list([], { ...view, empty: `no device matches the selector "${selection.selector}"` });
    const waiting = await countWaiting(api);
    const empty = `no devices; ${waiting} ${waiting === 1 ? "waits" : "wait"} for approval: fairlead enrolments list --pending`;
    out.list([], waiting === 0 ? view : { ...view, empty });
  },
};
