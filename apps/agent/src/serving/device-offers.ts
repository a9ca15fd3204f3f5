import type { AgentConfig } from "../config.ts";
import type { DeviceOffers } from "../models/load-target.ts";

/** What the device's configuration offers to models, in the words of load-target.ts. */
export function toDeviceOffers({
  inference,
  runtimes,
  slots,
}: Pick<AgentConfig, "inference" | "runtimes" | "slots">): DeviceOffers {
  return {
    providers: inference.providers,
    runtimes: Object.entries(runtimes).map(([name, runtime]) => ({
      name,
      providers: runtime.providers,
      slots: runtime.slots,
      loadTimeoutMs: runtime.loadTimeoutMs,
    })),
    slots,
    loadTimeoutMs: inference.loadTimeoutMs,
  };
}
