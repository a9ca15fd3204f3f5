import { EnergyMeter, type EnergySample, type EnergySource } from "@fairlead/energy";
import type { EnergyWindow, Reading, SlotWindow } from "@fairlead/protocol";

export interface WindowEnergyOptions {
  readonly hardware: { readonly energySource: EnergySource; sampleEnergy(): Promise<EnergySample> };
  readonly windowMs: number;
  /** Logical cores that `cpuRatio` speaks of. */
  readonly cores: number;
}

export interface WindowLoads {
  readonly slots: readonly SlotWindow[];
  readonly cpuRatio: Reading;
  readonly durationMs: number;
}

export interface WindowEnergy {
  /** Time between two samples, in milliseconds. */
  readonly periodMs: number;
  sample(): Promise<void>;
  /** Energy since the last call; the slots come back with their share. */
  settle(loads: WindowLoads): { readonly energy: EnergyWindow; readonly slots: SlotWindow[] };
}

/** A quotient needs ten periods in its window; twelve leave room for a late timer. */
const periodsPerWindow = 12;
const minPeriodMs = 80;
const maxPeriodMs = 1_000;

export function createWindowEnergy({ hardware, windowMs, cores }: WindowEnergyOptions): WindowEnergy {
  const source = hardware.energySource;
  const periodMs = Math.min(Math.max(Math.floor(windowMs / periodsPerWindow), minPeriodMs), maxPeriodMs);
  const meter = new EnergyMeter({ source, periodMs });
  // The board of a graphics card does not feed the processor: its energy is shared among the slots alone.
  const ofHost = !source.source.startsWith("nvidia");
  return {
    periodMs,
    async sample() {
      meter.record(await hardware.sampleEnergy());
    },
    settle({ slots, cpuRatio, durationMs }) {
      const report = meter.take({
        slots: slots.map(({ busyUs, requests, errors }) => {
          const failed = Object.values(errors).reduce((sum, count) => sum + count, 0);
          return { busyUs, inferences: requests - failed };
        }),
        hostBusyUs: ofHost && cpuRatio.value !== null ? cpuRatio.value * cores * durationMs * 1_000 : null,
      });
      return { energy: report.energy, slots: slots.map((slot, at) => ({ ...slot, ...report.slots[at] })) };
    },
  };
}
