import type { Clock, Logger, Service } from "@fairlead/kernel";
import type { TelemetryWindow } from "@fairlead/protocol";
import type { CountedServing, TelemetryOutbox, TrialObserver, WindowHardware } from "./ports.ts";

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

export function createTelemetryService(options: TelemetryServiceOptions): TelemetryService {
  throw new Error(`not written yet: ${options.windowMs}`);
}
