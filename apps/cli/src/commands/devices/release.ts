import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { acceptConfiguration } from "./accept-configuration.ts";
import { deviceArgument, findDevice } from "./get.ts";
import { toDeviceView } from "./view.ts";

export const releaseDevice: Command = {
  noun: "devices",
  verb: "release",
  summary: "End the quarantine of a device that was used in two places (no copy goes on), or accept its configuration",
  arguments: [deviceArgument],
  options: [
    { flags: "--reason <text>", description: "for the audit log", required: true },
    {
      flags: "--accept-config",
      description:
        "instead: accept the changed configuration that the device measured, and end its quarantine for that",
    },
  ],
  async run(context, input) {
    if (input.flag("acceptConfig") === true) return await acceptConfiguration(context, input);
    const { client, out, confirm } = context;
    const api = await client();
    const { device, cloned } = await findDevice(api, firstArgument(input));
    const seen = cloned === null ? "" : ` (${cloned.reason}: ${cloned.evidence.join("; ")})`;
    await confirm(`end the certificate of ${device}${seen}, and let the name be enrolled with another key?`);
    const after = await api.devices.release(device, input.required("reason"));
    if (out.isStructured || out.format === "name") return out.list([after], toDeviceView(out));
    out.message(
      `${device} waits for another key; with a token of fairlead enrolments create-token, on the right device: fairlead-agent enrol --new-key`,
    );
  },
};
