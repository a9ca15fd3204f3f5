import type { ExponentialHistogramData } from "@fairlead/protocol";
import { toBucketIndex, toScaleSteps } from "./histogram-buckets.ts";

/** Widest resolution that a recorder starts with: buckets 1.1 % wide. Wider data halve it step by step. */
const startScale = 6;
export const maxBuckets = 160;
const minScale = -10;
/** Bounds of the wire schema; larger values count as the bound, so that one wild value cannot make a window unsendable. */
const maxValue = 1e15;
const maxSum = 1e18;

/**
 * Records positive values into at most 160 base-2 exponential buckets (OTLP ExponentialHistogram, positive range) in
 * constant time and without allocation. When the values' range outgrows the buckets, neighbours are folded and the
 * scale falls by one, so that the relative error of a quantile stays `toRelativeError(scale)`.
 */
export class ExponentialHistogram {
  /** Ring: bucket `i` lives at `i mod 160`, so that growth at either end moves nothing. */
  readonly #ring = new Float64Array(maxBuckets);
  #scale = startScale;
  #low = 0;
  #high = -1;
  #zeroCount = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  /** Counts a value. Returns false, and counts nothing, when the value is negative or not finite. */
  record(value: number): boolean {
    if (!(value >= 0) || value === Number.POSITIVE_INFINITY) return false;
    const bounded = value > maxValue ? maxValue : value;
    if (bounded < this.#min) this.#min = bounded;
    if (bounded > this.#max) this.#max = bounded;
    if (bounded === 0) {
      this.#zeroCount += 1;
      return true;
    }
    this.#sum = Math.min(this.#sum + bounded, maxSum);
    const index = this.#admit(bounded);
    const at = toRingIndex(index);
    this.#ring[at] = (this.#ring[at] ?? 0) + 1;
    return true;
  }

  /** What was recorded, in the wire form. */
  toData(): ExponentialHistogramData {
    const counts: number[] = [];
    for (let index = this.#low; index <= this.#high; index += 1) counts.push(this.#ring[toRingIndex(index)] ?? 0);
    const empty = this.#zeroCount === 0 && counts.length === 0;
    return {
      scale: this.#scale,
      zeroCount: this.#zeroCount,
      offset: counts.length === 0 ? 0 : this.#low,
      counts,
      sum: this.#sum,
      min: empty ? null : this.#min,
      max: empty ? null : this.#max,
    };
  }

  /** Forgets everything, the scale included. */
  clear(): void {
    this.#ring.fill(0);
    this.#scale = startScale;
    this.#low = 0;
    this.#high = -1;
    this.#zeroCount = 0;
    this.#sum = 0;
    this.#min = Number.POSITIVE_INFINITY;
    this.#max = Number.NEGATIVE_INFINITY;
  }

  /** Makes room for the value's bucket and returns its index at the scale that then holds. */
  #admit(value: number): number {
    const index = toBucketIndex(value, this.#scale);
    const empty = this.#high < this.#low;
    if (!empty && index >= this.#low && index <= this.#high) return index;
    const low = empty ? index : Math.min(index, this.#low);
    const high = empty ? index : Math.max(index, this.#high);
    const steps = toScaleSteps(low, high, this.#scale - minScale);
    if (steps > 0) this.#fold(steps);
    this.#low = low >> steps;
    this.#high = high >> steps;
    return index >> steps;
  }

  #fold(steps: number): void {
    const folded = new Float64Array(maxBuckets);
    for (let index = this.#low; index <= this.#high; index += 1) {
      const at = toRingIndex(index >> steps);
      folded[at] = (folded[at] ?? 0) + (this.#ring[toRingIndex(index)] ?? 0);
    }
    this.#ring.set(folded);
    this.#scale -= steps;
  }
}

function toRingIndex(index: number): number {
  const rest = index % maxBuckets;
  return rest < 0 ? rest + maxBuckets : rest;
}

/** A histogram of nothing. */
export function toEmptyHistogram(): ExponentialHistogramData {
  return { scale: startScale, zeroCount: 0, offset: 0, counts: [], sum: 0, min: null, max: null };
}
