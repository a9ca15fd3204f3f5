import { performance } from "node:perf_hooks";
import { type EnergySample, type EnergySource } from "@fairlead/energy";
import type { Reading } from "@fairlead/protocol";
import type { DeviceProfile, PowerSensor } from "./profile/profile.ts";
import { createCpuReader } from "./sensors/cpu.ts";
import { readHwmonPower } from "./sensors/hwmon.ts";
import { nvidiaSource, type NvidiaReader } from "./sensors/nvidia.ts";
import { findRaplZone, readRapl } from "./sensors/rapl.ts";

export interface OpenEnergySource {
  readonly source: EnergySource;
  sample(): Promise<EnergySample>;
}

export interface SkippedSource {
  readonly source: string;
  readonly reason: string;
}

export interface ChooseOptions {
  readonly root: string;
  readonly profile: DeviceProfile;
  /** Null when the profile names no NVIDIA sensor. */
  readonly nvidia: NvidiaReader | null;
}

type Attempt =
  | { readonly kind: "open"; readonly source: EnergySource; readonly read: () => Promise<Reading> }
  | { readonly kind: "skip"; readonly skipped: SkippedSource };

/** The first of the profile's power sensors that gives a value, the power model when none does; and what was skipped. */
export async function chooseEnergySource(
  options: ChooseOptions,
): Promise<{ opened: OpenEnergySource; skipped: SkippedSource[] }> {
  const skipped: SkippedSource[] = [];
  for (const sensor of options.profile.sensors.power) {
    const attempt = await tryPowerSensor(sensor, options);
    if (attempt.kind === "open") return { opened: toOpened(attempt.source, attempt.read), skipped };
    skipped.push(attempt.skipped);
  }
  const { idleW, maxW, source } = options.profile.powerModel;
  const modelled: EnergySource = { kind: "modelled", source, scope: "device", idleW, maxW };
  return { opened: toOpened(modelled, createCpuReader(options.root)), skipped };
}

function toOpened(source: EnergySource, read: () => Promise<Reading>): OpenEnergySource {
  return {
    source,
    sample: async () => {
      const reading = await read();
      return { atMs: performance.now(), reading };
    },
  };
}

async function tryPowerSensor(sensor: PowerSensor, { root, nvidia }: ChooseOptions): Promise<Attempt> {
  switch (sensor.from) {
    case "rapl": {
      const zone = await findRaplZone(root);
      if ("reason" in zone) return toSkipped("rapl", zone.reason);
      return { kind: "open", source: zone.source, read: () => readRapl(root, zone) };
    }
    case "hwmon": {
      const name = `hwmon:${sensor.chip}${sensor.label === undefined ? "" : `/${sensor.label}`}`.slice(0, 128);
      const read = () => readHwmonPower(root, sensor);
      const first = await read();
      if (first.value === null) return toSkipped(name, first.reason);
      return { kind: "open", source: { kind: "power", source: name, scope: sensor.scope }, read };
    }
    case "nvidia": {
      if (nvidia === null) return toSkipped("nvidia-smi", "not opened");
      const { reason } = await nvidia.ready;
      if (reason !== null) return toSkipped("nvidia-smi", reason);
      const first = nvidia.read().powerW;
      if (first.value === null) return toSkipped("nvidia-smi", first.reason);
      const read = () => Promise.resolve(nvidia.read().powerW);
      return { kind: "open", source: { kind: "power", source: nvidiaSource, scope: "board" }, read };
    }
  }
}

function toSkipped(source: string, reason: string): Attempt {
  return { kind: "skip", skipped: { source, reason } };
}
