import { hasErrorCode, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";
import { slotNameSchema } from "@fairlead/protocol";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const everyMs = 500;

/** Asks the agent of this data folder to measure a slot's builds again: one empty file, named like the slot. */
export function requestMeasurement(folder: string, slot: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, slotNameSchema.parse(slot)), "", { mode: 0o600 });
}

export interface MeasureRequestsOptions {
  readonly folder: string;
  /** A build is on its way into the slot: the request waits until that has ended. */
  readonly isBusy: (slot: string) => boolean;
  /** False when the slot has nothing to choose from. */
  readonly measureAgain: (slot: string) => boolean;
  readonly logger: Logger;
}

/** Takes what was asked on this device; a file is gone once its request was heard. */
export class MeasureRequests implements Service {
  readonly name = "measure-requests";
  readonly #options: MeasureRequestsOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MeasureRequestsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#timer = setInterval(() => this.take(), everyMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
  }

  take(): void {
    const { folder, isBusy, measureAgain, logger } = this.#options;
    try {
      for (const slot of readdirSync(folder)) {
        if (isBusy(slot)) continue;
        rmSync(join(folder, slot), { recursive: true, force: true });
        const heard = slotNameSchema.safeParse(slot).success && measureAgain(slot);
        logger[heard ? "info" : "warn"](heard ? "builds are measured again" : "there is no choice to measure", {
          slot,
        });
      }
    } catch (error) {
      if (!hasErrorCode(error, "ENOENT")) logger.warn("requests to measure", { reason: toErrorMessage(error) });
    }
  }
}
