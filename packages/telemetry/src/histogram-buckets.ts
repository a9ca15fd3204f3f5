/** Bounds of the wire schema for the first bucket's index and the number of buckets. */
const maxOffset = 20_000;
const maxBuckets = 160;

/** Index of the bucket (base^i, base^(i+1)] that holds a positive value; base = 2^(2^-scale) (OTLP data model). */
export function toBucketIndex(value: number, scale: number): number {
  return Math.ceil(Math.log2(value) * 2 ** scale) - 1;
}

/** Lower bound of a bucket, itself excluded. */
export function toBucketLow(index: number, scale: number): number {
  return 2 ** (index * 2 ** -scale);
}

/**
 * An index held to the buckets that some double can fall into (2^-1075..2^1024). The wire schema admits others;
 * without the bound a forged histogram could not be folded into 160 buckets. Commutes with folding.
 */
export function toPossibleIndex(index: number, scale: number): number {
  return Math.min(Math.max(index, Math.floor(-1_075 * 2 ** scale)), Math.floor(1_024 * 2 ** scale));
}

/** How often the scale must fall so that buckets low..high fit. Folding `k` times maps bucket `i` to `i >> k`. */
export function toScaleSteps(low: number, high: number, maxSteps: number): number {
  let steps = 0;
  while (steps < maxSteps && !isFitting(low >> steps, high >> steps)) steps += 1;
  return steps;
}

function isFitting(low: number, high: number): boolean {
  return high - low < maxBuckets && low >= -maxOffset && low <= maxOffset;
}
