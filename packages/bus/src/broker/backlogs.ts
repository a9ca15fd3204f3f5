/** Where a backlog is: a connection whose peer does not read. */
export interface BacklogHolder {
  /** Ends the connection and gives its backlog back. */
  end(): void;
}

interface Backlog {
  readonly bytes: number;
  readonly sinceMs: number;
}

/** After so long every reader is a slow one, and bytes alone decide. */
const slowAfterMs = 10_000;

/** Unsent bytes of many connections, against one bound. */
export class Backlogs {
  readonly #maxBytes: number;
  readonly #nowMs: () => number;
  readonly #held = new Map<BacklogHolder, Backlog>();
  #bytes = 0;

  /** @param nowMs monotonic milliseconds; asked only where there is a backlog, since most writes leave none */
  constructor(maxBytes: number, nowMs: () => number) {
    this.#maxBytes = maxBytes;
    this.#nowMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What a connection has unsent now; 0 when all has been read. */
  note(holder: BacklogHolder, bytes: number): void {
    const before = this.#held.get(holder);
    if (before === undefined && bytes === 0) return;
    this.#bytes += bytes - (before?.bytes ?? 0);
    if (bytes === 0) this.#held.delete(holder);
    else this.#held.set(holder, { bytes, sinceMs: before?.sinceMs ?? this.#nowMs() });
  }

  /**
   * Ends connections until the bound is kept: first that which has held most bytes for the longest time, up to ten
   * seconds. Whoever happens to be written to when the room ends may be a good reader, whose backlog is gone in a moment.
   */
  shed(): void {
    while (this.#bytes > this.#maxBytes) {
      const heaviest = this.#findHeaviest();
      if (heaviest === undefined) return;
      this.note(heaviest, 0);
      heaviest.end();
    }
  }

  #findHeaviest(): BacklogHolder | undefined {
    const nowMs = this.#nowMs();
    let heaviest: BacklogHolder | undefined;
    let most = 0;
    for (const [holder, { bytes, sinceMs }] of this.#held) {
      const weight = bytes * (Math.min(nowMs - sinceMs, slowAfterMs) + 1);
      if (weight > most) [heaviest, most] = [holder, weight];
    }
    return heaviest;
  }
}
