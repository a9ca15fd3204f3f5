export interface CounterSample {
  readonly atMs: number;
  readonly energyUj: number;
}

export interface CounterLimits {
  /** Value after which the counter begins again at 0; null when unknown. */
  readonly maxRangeUj: number | null;
  /** No device of this kind draws more; tells a wrap from a reset. Default 2,000 W. */
  readonly maxPowerW?: number;
}

export type CounterDelta =
  | { readonly kind: "counted"; readonly energyJ: number; readonly wrapped: boolean }
  | { readonly kind: "first-sample" }
  /** The counter began again at 0 (reboot, driver reload, suspend): what was used before is unknown. */
  | { readonly kind: "reset"; readonly reason: string }
  /** The samples are so far apart that the counter may have wrapped unseen. */
  | { readonly kind: "gap"; readonly reason: string };

/**
 * Energy between two samples of a wrapping counter: dE = (b - a mod range) / 1e6. A counter that fell has wrapped
 * when the energy up to the wrap is possible in the time, and was reset otherwise.
 */
export function energyDeltaJ(prev: CounterSample | null, next: CounterSample, limits: CounterLimits): CounterDelta {
  if (prev === null) return { kind: "first-sample" };
  const { maxRangeUj, maxPowerW = 2_000 } = limits;
  const elapsedMs = next.atMs - prev.atMs;
  // W × ms = mJ = 1,000 µJ.
  const possibleUj = maxPowerW * elapsedMs * 1_000;
  if (maxRangeUj !== null && possibleUj >= maxRangeUj) {
    return { kind: "gap", reason: `${Math.round(elapsedMs)} ms between samples: the counter may have wrapped unseen` };
  }
  const differenceUj = next.energyUj - prev.energyUj;
  if (differenceUj >= 0 && differenceUj <= possibleUj) {
    return { kind: "counted", energyJ: differenceUj / 1e6, wrapped: false };
  }
  if (differenceUj >= 0) return { kind: "reset", reason: "the counter rose more than the device can use" };
  if (maxRangeUj === null) return { kind: "reset", reason: "the counter fell and its range is unknown" };
  const wrappedUj = differenceUj + maxRangeUj;
  if (wrappedUj < 0 || wrappedUj > possibleUj) return { kind: "reset", reason: "the counter began again at 0" };
  return { kind: "counted", energyJ: wrappedUj / 1e6, wrapped: true };
}
