const buckets = 16;
const smoothing = 0.2;

/** What a run of so many rows is expected to take: a moving mean for each power of two. */
export class RunEstimate {
  readonly #meansUs = new Float64Array(buckets);

  record(rows: number, runUs: number): void {
    const bucket = toBucket(rows);
    const mean = this.#meansUs[bucket] ?? 0;
    this.#meansUs[bucket] = mean === 0 ? runUs : mean + smoothing * (runUs - mean);
  }

  /** Microseconds; null before anything was measured. The nearest smaller size answers for one that was never run. */
  toUs(rows: number): number | null {
    for (let bucket = toBucket(rows); bucket >= 0; bucket -= 1) {
      const mean = this.#meansUs[bucket] ?? 0;
      if (mean > 0) return mean;
    }
    for (const mean of this.#meansUs) if (mean > 0) return mean;
    return null;
  }
}

function toBucket(rows: number): number {
  return Math.min(buckets - 1, Math.max(0, 31 - Math.clz32(rows)));
}
