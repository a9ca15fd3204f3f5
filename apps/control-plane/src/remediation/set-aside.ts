import { isStoreError } from "@fairlead/store";

/** Remediation cannot deal with one device; the others must not wait for it. */
export class DeviceTrouble extends Error {
  readonly device: string;

  constructor(device: string, cause: unknown) {
    super(`remediation cannot deal with ${device}`, { cause });
    this.device = device;
  }
}

/** What is to be thrown of an error at a device; what the store as a whole refuses is nobody's trouble, and stays what it is. */
export function toDeviceTrouble(device: string, error: unknown): unknown {
  return isStoreError(error) ? error : new DeviceTrouble(device, error);
}

/** Devices that remediation leaves alone for a while after they troubled it. */
export class SetAside {
  readonly #untilMs = new Map<string, number>();
  readonly #forMs: number;

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  add(device: string, nowMs: number): void {
    this.#untilMs.set(device, nowMs + this.#forMs);
  }

  list(nowMs: number): ReadonlySet<string> {
    for (const [device, untilMs] of this.#untilMs) if (untilMs <= nowMs) this.#untilMs.delete(device);
    return new Set(this.#untilMs.keys());
  }
}
