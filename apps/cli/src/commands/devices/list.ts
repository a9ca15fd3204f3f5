import type { Command } from "../../command.ts";
import { toDeviceView } from "./view.ts";

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
    const selector = input.text("selector");
    out.list(await (await client()).devices.list(selector === undefined ? {} : { selector }), toDeviceView(out));
  },
};
