import { toErrorMessage, type Logger } from "@fairlead/kernel";
import type { EventData, TelemetryWindow } from "@fairlead/protocol";
import type { ServingHost } from "../serving/serving-host.ts";
import { decideHeat, isHot, noHeat, toHeatReason, type Heat, type HeatLimits } from "./heat.ts";

export interface HeatWatchOptions {
  readonly limits: HeatLimits;
  /** Batch work stands still there while the device is hot. */
  readonly serving: Pick<ServingHost, "request">;
  readonly emit: (data: EventData) => void;
  readonly logger: Logger;
}

/** One event when the device gets hot and one when it has cooled down; the serving process is told each time. */
export class HeatWatch {
  readonly #options: HeatWatchOptions;
  #heat: Heat = noHeat;

  constructor(options: HeatWatchOptions) {
    this.#options = options;
  }

  onWindow({ host }: Pick<TelemetryWindow, "host">): void {
    const { limits, emit } = this.#options;
    const before = isHot(this.#heat);
    this.#heat = decideHeat(this.#heat, host, limits);
    const throttled = isHot(this.#heat);
    if (throttled === before) return;
    this.#tell(throttled);
    emit({ kind: "throttled", throttled, reason: toHeatReason(this.#heat, host.temperatureC.value, limits) });
  }

  /** A serving process that starts again knows nothing of the heat. */
  onServingReady(): void {
    if (isHot(this.#heat)) this.#tell(true);
  }

  #tell(throttled: boolean): void {
    const { serving, logger } = this.#options;
    serving
      .request({ kind: "throttle", throttled })
      .catch((error: unknown) =>
        logger.warn("the serving process was not told of the heat", { reason: toErrorMessage(error) }),
      );
  }
}
