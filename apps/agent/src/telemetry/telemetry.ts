import type { HardwareProbe } from "@fairlead/hardware";
import { toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { EventData, HostMetrics, TelemetryWindow } from "@fairlead/protocol";
import type { EnergySampler } from "../energy/energy-sampler.ts";
import type { Slots } from "../models/slots.ts";
import type { ServingHost } from "../serving/serving-host.ts";
import { SlotWindows, toInferences, toOwnErrors, toSlotWindow } from "./slot-windows.ts";

export interface TelemetryOptions {
  readonly serving: Pick<ServingHost, "ready" | "request">;
  readonly slots: Pick<Slots, "all" | "get">;
  readonly probe: Pick<HardwareProbe, "sampleHost">;
  readonly energy: EnergySampler;
  readonly cores: number;
  readonly windowMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly append: (window: TelemetryWindow) => void;
  readonly emit: (data: EventData) => void;
}

/** How often the build on trial is judged. */
const trialEveryMs = 1_000;
const collectTimeoutMs = 10_000;
const stampFloorMs = 1_000_000_000_000;

/** Closes one window after the other: what the serving process counted, the host, and the energy shared out. */
export class Telemetry implements Service {
  readonly name = "telemetry";
  readonly #options: TelemetryOptions;
  readonly #windows = new SlotWindows();
  #window: NodeJS.Timeout | undefined;
  #trial: NodeJS.Timeout | undefined;
  #t0Ms = 0;
  #startedMs = 0;
  #throttled = false;
  #busy: Promise<void> = Promise.resolve();
  #queued = false;

  constructor(options: TelemetryOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { clock, windowMs, probe } = this.#options;
    this.#t0Ms = clock.nowMs();
    this.#startedMs = clock.monotonicMs();
    await probe.sampleHost();
    this.#window = setInterval(() => this.#enqueue(() => this.#close()), windowMs);
    this.#trial = setInterval(() => {
      if (this.#options.slots.all.some((slot) => slot.onTrial)) this.#enqueue(() => this.#collect());
    }, trialEveryMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#window);
    clearInterval(this.#trial);
    await this.#busy;
  }

  /** One after the other; a tick that finds one waiting already adds nothing. */
  #enqueue(work: () => Promise<void>): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#busy = this.#busy
      .then(() => {
        this.#queued = false;
        return work();
      })
      .catch((error: unknown) => this.#options.logger.warn("telemetry failed", { reason: toErrorMessage(error) }));
  }

  async #collect(): Promise<void> {
    const { serving, slots, logger } = this.#options;
    if (!serving.ready) return;
    try {
      const { loads } = await serving.request({ kind: "collect" }, collectTimeoutMs);
      for (const load of loads) {
        const window = toSlotWindow(load);
        this.#windows.add(window);
        const counts = { requests: window.requests, errors: toOwnErrors(window) };
        slots.get(window.slot)?.onTrialCounts(window.buildDigest, counts);
      }
    } catch (error) {
      logger.debug("the serving process could not be asked", { reason: toErrorMessage(error) });
    }
  }

  async #close(): Promise<void> {
    const { clock, probe, energy, cores, append } = this.#options;
    await this.#collect();
    await energy.sample();
    const host = await probe.sampleHost();
    const endMs = clock.monotonicMs();
    const elapsedMs = endMs - this.#startedMs;
    const windows = this.#windows.take();
    const hostBusyUs = host.cpuRatio.value === null ? null : host.cpuRatio.value * cores * elapsedMs * 1_000;
    const slots = windows.map((window) => ({ busyUs: window.busyUs, inferences: toInferences(window) }));
    const report = energy.take({ slots, hostBusyUs });
    const t1Ms = Math.max(stampFloorMs + 1, clock.nowMs());
    append({
      // A clock that was set back must not make a window that ends before it begins.
      t0Ms: Math.max(stampFloorMs, Math.min(this.#t0Ms, t1Ms)),
      t1Ms,
      mergedWindows: 1,
      host,
      energy: report.energy,
      slots: windows.map((window, index) => ({ ...window, ...report.slots[index] })),
    });
    this.#t0Ms = t1Ms;
    this.#startedMs = endMs;
    this.#noteThrottling(host);
  }

  #noteThrottling(host: HostMetrics): void {
    if (host.throttled.value === null) return;
    const throttled = host.throttled.value > 0;
    if (throttled === this.#throttled) return;
    this.#throttled = throttled;
    const temperature = host.temperatureC.value;
    const reason = temperature === null ? "the board's sensor says so" : `at ${temperature.toFixed(1)} °C`;
    this.#options.emit({ kind: "throttled", throttled, reason });
  }
}
