import type { CommandContext, Input } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { firstArgument } from "../../input.ts";
import { findDevice } from "./get.ts";
import { toChangeText, toDeviceView } from "./view.ts";

/** Shows which configuration is accepted, and accepts exactly that: what the device measures meanwhile is refused. */
export async function acceptConfiguration({ client, out, confirm }: CommandContext, input: Input): Promise<void> {
  const api = await client();
  const { device, changedConfiguration: changed } = await findDevice(api, firstArgument(input));
  if (changed.length === 0)
    throw toUsageError(
      `the configuration of ${device} is as it was accepted last`,
      "a device says it with its next measurement, within half a minute of a change; models, the agent's files and its identity are never accepted",
    );
  await confirm(`accept on ${device}: ${changed.map(toChangeText).join("; ")}?`);
  const files = changed.map(({ name, after }) => ({ name, digest: after }));
  const after = await api.devices.acceptConfiguration(device, { reason: input.required("reason"), files });
  if (out.isStructured || out.format === "name") return out.list([after], toDeviceView(out));
  for (const change of changed) out.message(`accepted: ${toChangeText(change)}`);
  out.message(
    `${device} measures anew; what is as expected then ends its quarantine: fairlead devices describe ${device}`,
  );
}
