import { EnergyMeter } from "@fairlead/energy";
import type { HardwareProbe } from "@fairlead/hardware";
import type { EnergyMethod, Reading } from "@fairlead/protocol";
import { setTimeout as wait } from "node:timers/promises";

export interface BenchEnergy {
  /** Energy of the inferences since it was opened; the method says how it was come by. */
  settle(work: { readonly busyUs: number; readonly inferences: number }): Promise<{
    readonly joulesPerInference: Reading;
    readonly energyMethod: EnergyMethod;
  }>;
  /** Ends the sampling; `settle` does so too. */
  stop(): void;
}

/** A quotient needs ten periods in its window; twelve leave room for a late timer. */
const periodsPerRun = 12;
const idlePeriods = 3;

/**
 * Samples while a benchmark runs. A measured source first learns what the device takes without it, live load included,
 * so that only what the benchmark adds is counted; a modelled source knows its idle power.
 */
export async function openBenchEnergy(
  probe: Pick<HardwareProbe, "energySource" | "sampleEnergy" | "sampleHost">,
  { durationMs, cores }: { readonly durationMs: number; readonly cores: number },
): Promise<BenchEnergy> {
  const source = probe.energySource;
  const periodMs = Math.min(Math.max(Math.floor(durationMs / periodsPerRun), 8), 1_000);
  const meter = new EnergyMeter({ source, periodMs });
  const sample = async () => meter.record(await probe.sampleEnergy());
  await sample();
  if (source.kind !== "modelled") {
    for (let count = 0; count < idlePeriods; count += 1) {
      await wait(periodMs);
      await sample();
    }
    meter.take({ slots: [{ busyUs: 0, inferences: 0 }], hostBusyUs: null });
  }
  await probe.sampleHost();
  const startedMs = performance.now();
  const ending = new AbortController();
  const sampling = (async () => {
    while (!ending.signal.aborted) {
      await wait(periodMs, undefined, { signal: ending.signal }).catch(() => undefined);
      if (!ending.signal.aborted) await sample();
    }
  })();
  return {
    async settle({ busyUs, inferences }) {
      ending.abort();
      await sampling;
      await sample();
      const { cpuRatio } = await probe.sampleHost();
      const elapsedMs = performance.now() - startedMs;
      // The board of a graphics card does not feed the processor: its energy belongs to the benchmark alone.
      const ofHost = !source.source.startsWith("nvidia");
      const hostBusyUs = ofHost && cpuRatio.value !== null ? cpuRatio.value * cores * elapsedMs * 1_000 : null;
      const { energy, slots } = meter.take({ slots: [{ busyUs, inferences }], hostBusyUs });
      const joulesPerInference = slots[0]?.joulesPerInference ?? { value: null, reason: "no energy was attributed" };
      return { joulesPerInference, energyMethod: energy.method };
    },
    stop: () => ending.abort(),
  };
}
