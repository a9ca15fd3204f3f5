/**
 * A token bucket of bytes: `burstBytes` at once, refilled evenly. It counts into debt: what has arrived has arrived, and
 * the answer is how long nothing more is to be read.
 */
export class ByteRate {
  readonly #bytesPerSecond: number;
  readonly #burstBytes: number;
  #tokens: number;
  #atMs: number;

  constructor(options: { readonly bytesPerSecond: number; readonly burstBytes: number }, nowMs: number) {
    this.#bytesPerSecond = options.bytesPerSecond;
    this.#burstBytes = options.burstBytes;
    this.#tokens = options.burstBytes;
    this.#atMs = nowMs;
  }

  /** Milliseconds until the debt is paid; 0 while there is none. */
  take(bytes: number, nowMs: number): number {
    const gained = ((nowMs - this.#atMs) / 1_000) * this.#bytesPerSecond;
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + gained) - bytes;
    this.#atMs = nowMs;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens / this.#bytesPerSecond) * 1_000);
  }
}
