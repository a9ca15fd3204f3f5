import { toErrorCode, toErrorMessage, type Clock, type Logger, type Service } from "@fairlead/kernel";
import type { TelemetryWindow } from "@fairlead/protocol";
import { createWindowEnergy, type WindowEnergy } from "../energy/window-energy.ts";
import type { CountedServing, TelemetryOutbox, TrialObserver, WindowHardware } from "./ports.ts";
import { createWindowCounts, toTrialCounts } from "./window-counts.ts";
import { createWindowSender } from "./window-sender.ts";

export interface TelemetryServiceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly windowMs: number;
  /** Logical cores of the machine (`os.cpus().length`). */
  readonly cores: number;
  readonly serving: CountedServing;
  readonly hardware: WindowHardware;
  readonly outbox: TelemetryOutbox;
  readonly trial?: TrialObserver;
  /** How often the counts are looked at while a build is on trial. Default 1,000. */
  readonly trialSampleMs?: number;
  readonly onWindow?: (window: TelemetryWindow) => void;
}

export interface TelemetryService extends Service {
  /** One turn of the timer: samples and closes the window when it is due. Harmless to call at any time. */
  tick(): Promise<void>;
}

/** The wire admits no time before 2001; an unset clock must not lose the window. */
const earliestMs = 1_000_000_000_000;
/** A wall clock that moved less than this between two windows is not worth a hole between them. */
const seamMs = 1_000;
const lastWindowMs = 700;

export function createTelemetryService(options: TelemetryServiceOptions): TelemetryService {
  return new TelemetryLoop(options);
}

class TelemetryLoop implements TelemetryService {
  readonly name = "telemetry";
  readonly #options: TelemetryServiceOptions;
  readonly #energy: WindowEnergy;
  readonly #send: (window: TelemetryWindow) => void;
  readonly #counts = createWindowCounts();
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #running = false;
  /** Monotonic; null until the first turn, which only gives counters their first value. */
  #openedAtMs: number | null = null;
  #sampledAtMs = 0;
  #collectedAtMs = 0;
  #lastT1Ms: number | null = null;
  #collectFailed = false;

  constructor(options: TelemetryServiceOptions) {
    this.#options = options;
    this.#energy = createWindowEnergy(options);
    this.#send = createWindowSender(options.outbox, options.logger);
  }

  async start(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    void this.#loop();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    if (!this.#running) return;
    this.#running = false;
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => (timer = setTimeout(resolve, lastWindowMs)));
    await Promise.race([this.#enqueue(() => this.#closeWindow()), deadline]);
    clearTimeout(timer);
  }

  tick(): Promise<void> {
    return this.#enqueue(() => this.#step());
  }

  async #loop(): Promise<void> {
    await this.tick();
    if (!this.#running) return;
    const nowMs = this.#options.clock.monotonicMs();
    const dueMs = Math.min((this.#openedAtMs ?? nowMs) + this.#options.windowMs, nowMs + this.#energy.periodMs);
    this.#timer = setTimeout(() => void this.#loop(), Math.max(1, Math.ceil(dueMs - nowMs)));
  }

  /** One after the other; a failure costs this turn and nothing else. */
  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(step).catch((error: unknown) => {
      this.#options.logger.error("a telemetry step failed", { reason: toErrorMessage(error) });
    });
    return this.#turn;
  }

  async #step(): Promise<void> {
    const { clock, hardware, trial, windowMs, trialSampleMs = 1_000 } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#openedAtMs === null) {
      await Promise.all([hardware.sampleHost(), this.#energy.sample()]);
      this.#openedAtMs = this.#sampledAtMs = this.#collectedAtMs = nowMs;
      return;
    }
    if (nowMs >= this.#openedAtMs + windowMs) return this.#closeWindow();
    if (nowMs >= this.#sampledAtMs + this.#energy.periodMs) {
      this.#sampledAtMs = nowMs;
      await this.#energy.sample();
    }
    if (nowMs >= this.#collectedAtMs + trialSampleMs && trial?.onTrial() === true) await this.#collect();
  }

  /** A process that restarts has nothing to say: the window then has no slots, or those seen before. */
  async #collect(): Promise<void> {
    const { serving, trial, clock, logger } = this.#options;
    this.#collectedAtMs = clock.monotonicMs();
    try {
      const { loads } = await serving.collect();
      this.#collectFailed = false;
      this.#counts.add(loads);
      for (const load of loads) trial?.onTrialCounts(load.slot, load.buildDigest, toTrialCounts(load));
    } catch (error) {
      if (!this.#collectFailed)
        logger.warn("the counts could not be collected", { code: toErrorCode(error), reason: toErrorMessage(error) });
      this.#collectFailed = true;
    }
  }

  async #closeWindow(): Promise<void> {
    const openedAtMs = this.#openedAtMs;
    if (openedAtMs === null) return;
    const { clock, hardware } = this.#options;
    await this.#collect();
    const [host] = await Promise.all([hardware.sampleHost(), this.#energy.sample()]);
    const nowMs = clock.monotonicMs();
    this.#openedAtMs = this.#sampledAtMs = nowMs;
    const durationMs = nowMs - openedAtMs;
    const { energy, slots } = this.#energy.settle({ slots: this.#counts.take(), cpuRatio: host.cpuRatio, durationMs });
    const window: TelemetryWindow = { ...this.#toSpan(durationMs), mergedWindows: 1, host, energy, slots };
    this.#send(window);
    this.#options.onWindow?.(window);
  }

  /** The end is the wall clock's, the length the monotonic clock's: a clock that is set does not stretch a window. */
  #toSpan(durationMs: number): { t0Ms: number; t1Ms: number } {
    const t1Ms = Math.max(earliestMs, Math.floor(this.#options.clock.nowMs()));
    const startMs = Math.max(earliestMs, t1Ms - Math.round(durationMs));
    const last = this.#lastT1Ms;
    const joins = last !== null && last <= t1Ms && Math.abs(startMs - last) < seamMs;
    this.#lastT1Ms = t1Ms;
    return { t0Ms: joins ? last : startMs, t1Ms };
  }
}
