import { EnergyMeter, type EnergyReport, type WindowLoad } from "@fairlead/energy";
import type { HardwareProbe } from "@fairlead/hardware";
import { toErrorMessage, type Logger, type Service } from "@fairlead/kernel";

/** Reads the device's one energy source at a steady rate and gives each window its joules. */
export class EnergySampler implements Service {
  readonly name = "energy";
  readonly #probe: Pick<HardwareProbe, "energySource" | "sampleEnergy">;
  readonly #meter: EnergyMeter;
  readonly #periodMs: number;
  readonly #logger: Logger;
  #timer: NodeJS.Timeout | undefined;
  #sampling = false;

  constructor(options: {
    readonly probe: Pick<HardwareProbe, "energySource" | "sampleEnergy">;
    readonly windowMs: number;
    readonly logger: Logger;
  }) {
    this.#probe = options.probe;
    this.#logger = options.logger;
    // More than ten samples per window, which a quotient needs; not more than one in 50 ms, which would itself cost energy.
    this.#periodMs = Math.max(50, Math.min(1_000, Math.floor(options.windowMs / 12)));
    this.#meter = new EnergyMeter({ source: this.#probe.energySource, periodMs: this.#periodMs });
  }

  async start(): Promise<void> {
    await this.sample();
    this.#timer = setInterval(() => void this.sample(), this.#periodMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
  }

  async sample(): Promise<void> {
    if (this.#sampling) return;
    this.#sampling = true;
    try {
      this.#meter.record(await this.#probe.sampleEnergy());
    } catch (error) {
      this.#logger.warn("the energy source failed", { reason: toErrorMessage(error) });
    } finally {
      this.#sampling = false;
    }
  }

  take(load: WindowLoad): EnergyReport {
    return this.#meter.take(load);
  }
}
