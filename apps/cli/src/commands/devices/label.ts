import { labelsSchema } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { parseLabels } from "../../parse-labels.ts";
import { deviceArgument, findDevice } from "./get.ts";
import { toDeviceView, toLabelText } from "./view.ts";

export const labelDevice: Command = {
  noun: "devices",
  verb: "label",
  summary: "Set labels (key=value) or remove them (key-)",
  arguments: [deviceArgument, { syntax: "<labels...>", description: "key=value to set, key- to remove" }],
  async run({ client, out }, input) {
    const [name = "", ...changes] = input.args;
    const api = await client();
    await findDevice(api, name);
    const { value: device, etag } = await api.devices.getTagged(name);
    const removals = changes.filter((change) => change.endsWith("-") && !change.includes("="));
    const labels: Record<string, string> = { ...device.labels };
    for (const removal of removals) {
      const key = removal.slice(0, -1);
      if (!Object.hasOwn(labels, key))
        throw toUsageError(`${name} has no label "${key}"`, `it has ${toLabelText(labels)}`);
      Reflect.deleteProperty(labels, key);
    }
    const additions = changes.filter((change) => !removals.includes(change));
    const next = labelsSchema.parse({ ...labels, ...(additions.length === 0 ? {} : parseLabels(additions)) });
    const changed = await api.devices.setLabels(name, next, etag);
    if (out.isStructured || out.format === "name") out.list([changed], toDeviceView(out));
    else out.message(`${name}: ${toLabelText(changed.labels)}`);
  },
};
