export interface PowerSample {
  readonly atMs: number;
  readonly powerW: number;
}

/** Energy in joules under the samples, by the trapezoid rule; time must not fall. 0 for fewer than two samples. */
export function integratePowerJ(samples: readonly PowerSample[]): number {
  let energyJ = 0;
  for (let at = 1; at < samples.length; at += 1) {
    const [left, right] = [samples[at - 1], samples[at]];
    if (left === undefined || right === undefined) continue;
    energyJ += ((left.powerW + right.powerW) / 2) * (Math.max(right.atMs - left.atMs, 0) / 1_000);
  }
  return energyJ;
}
