import type { EnergyMethod, EnergyScope, Reading } from "@fairlead/protocol";

/** Where a device's energy comes from. One device uses one source: scopes overlap and must not be added. */
export type EnergySource =
  /** Samples are a running counter in microjoules that wraps at `maxRangeUj` (null: unknown). */
  | {
      readonly kind: "counter";
      readonly source: string;
      readonly scope: EnergyScope;
      readonly maxRangeUj: number | null;
    }
  /** Samples are power in watts. */
  | { readonly kind: "power"; readonly source: string; readonly scope: EnergyScope }
  /** Samples are utilisation 0..1; power = idleW + (maxW - idleW) × utilisation. */
  | {
      readonly kind: "modelled";
      readonly source: string;
      readonly scope: EnergyScope;
      readonly idleW: number;
      readonly maxW: number;
    };

/** One sample in the unit of its source's kind; `atMs` is monotonic. */
export interface EnergySample {
  readonly atMs: number;
  readonly reading: Reading;
}

export const methodByKind: Readonly<Record<EnergySource["kind"], EnergyMethod>> = {
  counter: "counter",
  power: "integrated",
  modelled: "modelled",
};

/** Modelled power in watts; utilisation is held to 0..1. */
export function toModelledPowerW(
  model: { readonly idleW: number; readonly maxW: number },
  utilization: number,
): number {
  return model.idleW + (model.maxW - model.idleW) * Math.min(Math.max(utilization, 0), 1);
}
