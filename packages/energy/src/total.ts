import type { Reading } from "@fairlead/protocol";
import { energyDeltaJ } from "./counter.ts";
import { toModelledPowerW, type EnergySample, type EnergySource } from "./source.ts";
import { integratePowerJ } from "./trapezoid.ts";

interface KnownSample {
  readonly atMs: number;
  readonly value: number;
}

/**
 * Energy in joules from the first to the last sample. Samples without a value are bridged, for a counter because it
 * goes on counting, for power when the hole is at most `maxGapMs`.
 */
export function toTotalJ(source: EnergySource, samples: readonly EnergySample[], maxGapMs: number): Reading {
  const known = samples.flatMap(({ atMs, reading }) =>
    reading.value === null ? [] : [{ atMs, value: reading.value }],
  );
  if (known.length < 2) return { value: null, reason: toMissingReason(samples) };
  switch (source.kind) {
    case "counter":
      return toCountedJ(known, source.maxRangeUj);
    case "power":
      return toIntegratedJ(known, maxGapMs);
    case "modelled": {
      const powers = known.map(({ atMs, value }) => ({ atMs, value: toModelledPowerW(source, value) }));
      return toIntegratedJ(powers, maxGapMs);
    }
  }
}

function toCountedJ(known: readonly KnownSample[], maxRangeUj: number | null): Reading {
  let totalJ = 0;
  let prev: { atMs: number; energyUj: number } | null = null;
  for (const { atMs, value } of known) {
    const next = { atMs, energyUj: value };
    const delta = energyDeltaJ(prev, next, { maxRangeUj });
    if (delta.kind === "reset" || delta.kind === "gap") return { value: null, reason: delta.reason };
    if (delta.kind === "counted") totalJ += delta.energyJ;
    prev = next;
  }
  return { value: totalJ };
}

function toIntegratedJ(known: readonly KnownSample[], maxGapMs: number): Reading {
  for (let at = 1; at < known.length; at += 1) {
    const gapMs = (known[at]?.atMs ?? 0) - (known[at - 1]?.atMs ?? 0);
    if (!(gapMs <= maxGapMs)) return { value: null, reason: `no power sample for ${Math.round(gapMs)} ms` };
  }
  return { value: integratePowerJ(known.map(({ atMs, value }) => ({ atMs, powerW: value }))) };
}

function toMissingReason(samples: readonly EnergySample[]): string {
  const failed = samples.findLast(({ reading }) => reading.value === null)?.reading;
  if (failed?.value === null) return failed.reason;
  return samples.length === 0 ? "no sample in the window" : "first sample of the source";
}
