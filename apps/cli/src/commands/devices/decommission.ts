import type { Command } from "../../command.ts";
import { firstArgument } from "../../input.ts";
import { deviceArgument, findDevice } from "./get.ts";
import { toDeviceView } from "./view.ts";

export const decommissionDevice: Command = {
  noun: "devices",
  verb: "decommission",
  summary: "End a device for good: it removes models, data and keys, says so, and is refused from then on",
  arguments: [deviceArgument],
  options: [
    { flags: "--force", description: "refuse it at once and do not wait; what lies on it stays there" },
    { flags: "--reason <text>", description: "told to the device and the audit log", default: "by an operator" },
  ],
  async run({ client, out, confirm }, input) {
    const api = await client();
    const { device, online } = await findDevice(api, firstArgument(input));
    const force = input.flag("force") === true;
    await confirm(force ? `refuse ${device} from now on, and leave on it what is there?` : `empty ${device} for good?`);
    const after = await api.devices.decommission(device, { force, reason: input.required("reason") });
    if (out.isStructured || out.format === "name") return out.list([after], toDeviceView(out));
    if (after.lifecycle === "decommissioned")
      return out.message(
        after.decommission?.wipe === "confirmed"
          ? `${device} is decommissioned and empty`
          : `${device} is decommissioned; nobody knows whether anything was removed from it`,
      );
    const when = online ? "now" : "when it connects again";
    out.message(`${device} is asked to become empty ${when}; fairlead devices describe ${device} shows when it has`);
  },
};
