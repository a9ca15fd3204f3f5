import type { EnergyMethod, SlotErrorKind, SlotWindow } from "@fairlead/protocol";
import type { DeviceHooks } from "../context.ts";

/** What one build name showed in one slot name, over all devices, since this process began. */
export interface InferenceTotal {
  readonly slot: string;
  readonly model: string;
  readonly version: string;
  requests: number;
  /** From the request's arrival to its answer, of those that were answered. */
  requestSeconds: number;
  runSeconds: number;
  readonly errors: Map<SlotErrorKind, number>;
  /** By how the energy was found: what was measured and what was modelled are never added up. */
  readonly energy: Map<EnergyMethod, { joules: number; inferences: number }>;
}

export interface StoredWindow {
  readonly window: SlotWindow;
  readonly energyMethod: EnergyMethod;
}

/** Devices choose slot names and releases bring versions: beyond so many combinations all are one. */
const defaultMaxSeries = 100;
/** No version is called so. */
const others = "other";

/**
 * Sums of the windows that were stored: counters, which begin at zero with the process, as Prometheus expects. A shadow's
 * windows are left out: nobody asked it anything.
 */
export class InferenceTotals {
  readonly #totals = new Map<string, InferenceTotal>();
  readonly #maxSeries: number;
  #rest: InferenceTotal | undefined;

  constructor(maxSeries = defaultMaxSeries) {
    this.#maxSeries = maxSeries;
  }

  /** Windows count once they are stored, and each once. */
  get hooks(): DeviceHooks {
    return {
      onTelemetry: async (tx, windows) =>
        tx.afterCommit(() => {
          for (const { slots, energy } of windows)
            for (const window of slots) this.add({ window, energyMethod: energy.method });
        }),
    };
  }

  get all(): readonly InferenceTotal[] {
    return this.#rest === undefined ? [...this.#totals.values()] : [...this.#totals.values(), this.#rest];
  }

  add({ window, energyMethod }: StoredWindow): void {
    if ((window.shadow ?? null) !== null) return;
    const total = this.#open(window);
    total.requests += window.requests;
    total.requestSeconds += window.latencyUs.sum / 1e6;
    total.runSeconds += window.busyUs / 1e6;
    let failed = 0;
    for (const kind of Object.keys(window.errors) as SlotErrorKind[]) {
      const count = window.errors[kind] ?? 0;
      failed += count;
      if (count > 0) total.errors.set(kind, (total.errors.get(kind) ?? 0) + count);
    }
    // Energy without a reading, and inferences beside it, are in neither sum: their quotient stays that of what was read.
    if (window.activeJ.value === null) return;
    const energy = total.energy.get(energyMethod) ?? { joules: 0, inferences: 0 };
    energy.joules += window.activeJ.value;
    energy.inferences += Math.max(0, window.requests - failed);
    total.energy.set(energyMethod, energy);
  }

  #open({ slot, model, version }: Pick<SlotWindow, "slot" | "model" | "version">): InferenceTotal {
    const key = `${slot} ${model} ${version}`;
    const known = this.#totals.get(key);
    if (known !== undefined) return known;
    if (this.#totals.size >= this.#maxSeries) return (this.#rest ??= toTotal(others, others, others));
    const total = toTotal(slot, model, version);
    this.#totals.set(key, total);
    return total;
  }
}

function toTotal(slot: string, model: string, version: string): InferenceTotal {
  const sums = { requests: 0, requestSeconds: 0, runSeconds: 0 };
  return { slot, model, version, ...sums, errors: new Map(), energy: new Map() };
}
