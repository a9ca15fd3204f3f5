import type { Audience } from "@fairlead/protocol";
import { refuse } from "./refusal.ts";

/** What a device knows of itself, by its own configuration and its own look at the machine. */
export interface DeviceClass {
  readonly profile: string;
  readonly fleet: string | null;
  readonly agentVersion: string;
  /** Versions of what lies below the agent, by the inventory's names: `os.kernel`, `firmware.version`. */
  readonly firmware: Readonly<Record<string, string>>;
}

/** Numbers between dots; what is no number is older than every number, so that it refuses. */
function isOlder(version: string, floor: string): boolean {
  const parts = (text: string) => (text.split(/[-+]/u)[0] ?? "").split(".").map(Number);
  const [have, want] = [parts(version), parts(floor)];
  const index = want.findIndex((part, position) => (have[position] ?? 0) !== part);
  return index >= 0 && !((have[index] ?? 0) > (want[index] ?? 0));
}

/** Is a release with this audience for this device? What the device does not know of itself, it does not have. */
export function requireAudience(audience: Audience, self: DeviceClass): void {
  const { profiles, fleets, minAgentVersion, firmware = {} } = audience;
  if (profiles !== undefined && !profiles.includes(self.profile))
    refuse("foreign_audience", `the release is for ${profiles.join(", ")}; this is a ${self.profile}`);
  if (fleets !== undefined && (self.fleet === null || !fleets.includes(self.fleet)))
    refuse(
      "foreign_audience",
      `the release is for the fleets ${fleets.join(", ")}; this device is of ${self.fleet ?? "none"}`,
    );
  if (minAgentVersion !== undefined && isOlder(self.agentVersion, minAgentVersion))
    refuse("foreign_audience", `the release needs agent ${minAgentVersion}; this is ${self.agentVersion}`);
  for (const [component, floor] of Object.entries(firmware)) {
    const version = Object.hasOwn(self.firmware, component) ? self.firmware[component] : undefined;
    if (version === undefined || isOlder(version, floor))
      refuse("foreign_audience", `the release needs ${component} ${floor}; this device has ${version ?? "none known"}`);
  }
}
