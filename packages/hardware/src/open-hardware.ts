import type { EnergySample, EnergySource } from "@fairlead/energy";
import type { HostMetrics } from "@fairlead/protocol";
import { chooseEnergySource, type SkippedSource } from "./energy-source.ts";
import { createHostSampler } from "./host-sampler.ts";
import type { DeviceProfile } from "./profile/profile.ts";
import { nvidiaSource, openNvidiaReader, type NvidiaReaderOptions } from "./sensors/nvidia.ts";

export interface OpenHardwareOptions {
  readonly profile: DeviceProfile;
  /** Folder that stands for `/`. Default `/`. */
  readonly root?: string;
  /** A path on the file system whose space matters. Default: the root. */
  readonly diskPath?: string;
  readonly nvidia?: NvidiaReaderOptions;
}

/** A board's sensors. Sampling never throws: what cannot be read is null with the reason. */
export interface HardwareProbe {
  readonly energySource: EnergySource;
  /** Preferred sources that gave no value when the probe was opened. */
  readonly skippedSources: readonly SkippedSource[];
  /** Ratios and throttling are since the last call. */
  sampleHost(): Promise<HostMetrics>;
  /** In the unit of `energySource.kind`; `atMs` is monotonic. */
  sampleEnergy(): Promise<EnergySample>;
  close(): Promise<void>;
}

/** Opens what the profile names; the energy source is chosen once and stays. Close it to end the child process. */
export async function openHardware(options: OpenHardwareOptions): Promise<HardwareProbe> {
  const { profile, root = "/", diskPath = root } = options;
  const { power, temperature } = profile.sensors;
  const wantsNvidia = [...power, ...temperature].some(({ from }) => from === "nvidia");
  const nvidia = wantsNvidia ? openNvidiaReader(options.nvidia) : null;
  const { opened, skipped } = await chooseEnergySource({ root, profile, nvidia });
  const usesNvidia = opened.source.source === nvidiaSource || temperature.some(({ from }) => from === "nvidia");
  if (!usesNvidia) await nvidia?.close();
  return {
    energySource: opened.source,
    skippedSources: skipped,
    sampleHost: createHostSampler({ root, profile, diskPath, nvidia }),
    sampleEnergy: () => opened.sample(),
    close: async () => {
      await nvidia?.close();
    },
  };
}
