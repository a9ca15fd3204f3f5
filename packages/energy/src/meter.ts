import type { EnergyWindow, Reading } from "@fairlead/protocol";
import { attributeActiveJ, toJoulesPerInference } from "./attribution.ts";
import { methodByKind, type EnergySample, type EnergySource } from "./source.ts";
import { toTotalJ } from "./total.ts";

export interface EnergyMeterOptions {
  readonly source: EnergySource;
  /** Time between two samples, in milliseconds. */
  readonly periodMs: number;
}

export interface SlotLoad {
  readonly busyUs: number;
  /** Inferences that were answered without error. */
  readonly inferences: number;
}

export interface WindowLoad {
  /** One entry per slot window, in their order. */
  readonly slots: readonly SlotLoad[];
  /** Busy core microseconds of the whole machine; null when unknown or when an accelerator does the work. */
  readonly hostBusyUs: number | null;
}

export interface EnergyReport {
  readonly energy: EnergyWindow;
  /** In the order of `WindowLoad.slots`. */
  readonly slots: readonly { readonly activeJ: Reading; readonly joulesPerInference: Reading }[];
}

/** A hole of more periods than this is not bridged when power is integrated. */
const maxGapPeriods = 3;
/** Most samples kept for one window; older ones are dropped, and the window then starts later. */
const maxSamples = 4_096;

/** A sensor on a battery's line may count down while it is charged: that is no energy of ours. */
function toUsed(reading: Reading): Reading {
  if (reading.value === null || reading.value >= 0) return reading;
  return { value: null, reason: "the source showed less energy than before" };
}

/**
 * Collects samples of one source and turns each window's into energy. The last sample of a window is the first of the
 * next, so that no energy falls between them.
 *
 * Idle power: a modelled source knows it. A measured one learns it: the lowest mean power of a window in which no slot
 * was busy. Until such a window was seen, the split into idle and active is absent; a profile's nameplate is not used,
 * because a modelled share inside a measured value could not be told apart.
 */
export class EnergyMeter {
  readonly #source: EnergySource;
  readonly #periodMs: number;
  #samples: EnergySample[] = [];
  #idleW: number | null;

  constructor({ source, periodMs }: EnergyMeterOptions) {
    this.#source = source;
    this.#periodMs = periodMs;
    this.#idleW = source.kind === "modelled" ? source.idleW : null;
  }

  /** Adds a sample. One that is not later than the last is dropped: monotonic time does not fall. */
  record(sample: EnergySample): void {
    const last = this.#samples.at(-1);
    if (last !== undefined && !(sample.atMs > last.atMs)) return;
    this.#samples.push(sample);
    if (this.#samples.length > maxSamples) this.#samples.shift();
  }

  /** Energy since the last `take`, split and attributed. */
  take({ slots, hostBusyUs }: WindowLoad): EnergyReport {
    const samples = this.#samples;
    this.#samples = samples.slice(-1);
    const totalJ = toUsed(toTotalJ(this.#source, samples, maxGapPeriods * this.#periodMs));
    const windowMs = toSpanMs(samples);
    const idle = slots.every(({ busyUs }) => busyUs === 0);
    this.#learnIdle(totalJ, windowMs, idle);
    const { idleJ, activeJ } = this.#split(totalJ, windowMs);
    const shares = attributeActiveJ(
      activeJ,
      slots.map(({ busyUs }) => busyUs),
      hostBusyUs,
    );
    const { source, scope, kind } = this.#source;
    return {
      energy: { method: methodByKind[kind], scope, source, totalJ, idleJ, activeJ },
      slots: slots.map(({ inferences }, at) => {
        const share = shares[at] ?? activeJ;
        const quotient = { activeJ: share, inferences, windowMs, periodMs: this.#periodMs };
        return { activeJ: share, joulesPerInference: toJoulesPerInference(quotient) };
      }),
    };
  }

  #learnIdle(totalJ: Reading, windowMs: number, idle: boolean): void {
    if (this.#source.kind === "modelled" || !idle || totalJ.value === null) return;
    if (windowMs < this.#periodMs) return;
    const powerW = totalJ.value / (windowMs / 1_000);
    this.#idleW = this.#idleW === null ? powerW : Math.min(this.#idleW, powerW);
  }

  #split(totalJ: Reading, windowMs: number): { idleJ: Reading; activeJ: Reading } {
    if (totalJ.value === null) return { idleJ: totalJ, activeJ: totalJ };
    if (this.#idleW === null) {
      const unknown: Reading = { value: null, reason: "idle power is not known yet: no window without work was seen" };
      return { idleJ: unknown, activeJ: unknown };
    }
    const idleJ = Math.min(this.#idleW * (windowMs / 1_000), totalJ.value);
    return { idleJ: { value: idleJ }, activeJ: { value: totalJ.value - idleJ } };
  }
}

/** From the first to the last sample with a value. */
function toSpanMs(samples: readonly EnergySample[]): number {
  const known = samples.filter(({ reading }) => reading.value !== null);
  return (known.at(-1)?.atMs ?? 0) - (known[0]?.atMs ?? 0);
}
