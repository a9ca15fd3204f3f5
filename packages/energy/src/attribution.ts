import type { Reading } from "@fairlead/protocol";

/** Fewer inferences, or a window shorter than this many sensor periods, make a quotient of chance. */
const minInferences = 10;
const minPeriods = 10;

export interface QuotientInput {
  readonly activeJ: Reading;
  /** Inferences that were answered without error. */
  readonly inferences: number;
  readonly windowMs: number;
  /** Time between two sensor readings. */
  readonly periodMs: number;
}

/** Active joules per inference, or the reason why the window does not bear that number. */
export function toJoulesPerInference({ activeJ, inferences, windowMs, periodMs }: QuotientInput): Reading {
  if (activeJ.value === null) return activeJ;
  if (!(inferences >= minInferences)) {
    return { value: null, reason: `${inferences} inferences; ${minInferences} are needed` };
  }
  if (!(windowMs >= minPeriods * periodMs)) {
    const reason = `window of ${Math.round(windowMs)} ms; ${minPeriods} sensor periods of ${periodMs} ms are needed`;
    return { value: null, reason };
  }
  return { value: activeJ.value / inferences };
}

/**
 * Active energy per slot by its share of busy time. `hostBusyUs` is the busy time of the whole machine in the same
 * measure (core microseconds): what other programs used then stays with them; null shares everything among the slots.
 */
export function attributeActiveJ(
  activeJ: Reading,
  busyUs: readonly number[],
  hostBusyUs: number | null,
): readonly Reading[] {
  if (activeJ.value === null) return busyUs.map(() => activeJ);
  const total = activeJ.value;
  const all = Math.max(
    busyUs.reduce((sum, busy) => sum + busy, 0),
    hostBusyUs ?? 0,
  );
  return busyUs.map((busy) => ({ value: all > 0 ? total * (busy / all) : 0 }));
}
