import type { DeviceSummary } from "@fairlead/protocol";
import type { Command } from "../../command.ts";
import { readSelector } from "../../parse-selector.ts";
import { selectorOption } from "./list.ts";

const toLine = (device: DeviceSummary): string => {
  const slots = device.slots.map((slot) => {
    const running = slot.running === null ? "empty" : `${slot.running.model} ${slot.running.version}`;
    return `${slot.slot}=${running} ${slot.serving ? "serving" : "not serving"} ${slot.job?.state ?? ""}`.trimEnd();
  });
  return [device.device, device.lifecycle, device.online ? "online" : "offline", device.integrity, ...slots].join("  ");
};

export const watchDevices: Command = {
  noun: "devices",
  verb: "watch",
  summary: "Print a line whenever a device changes, until interrupted or --timeout",
  options: [selectorOption],
  async run({ client, out, signal, timeoutMs, nowMs }, input) {
    const selection = readSelector(input);
    const api = await client();
    const seen = new Map<string, string>();
    const look = async (): Promise<void> => {
      for (const device of await api.devices.list(selection)) {
        const line = toLine(device);
        if (seen.get(device.device) === line) continue;
        seen.set(device.device, line);
        if (out.isStructured) out.record(device);
        else out.lines([`${new Date(nowMs()).toISOString()}  ${line}`]);
      }
    };
    const limit = timeoutMs === null ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    await look();
    for await (const { event } of api.events(null, limit)) if (event.kind === "device") await look();
  },
};
