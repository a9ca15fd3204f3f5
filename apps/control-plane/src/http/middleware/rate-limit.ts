import { CodedError, toAddressBlock, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

export interface RateLimit {
  /** Takes one; throws when none is left. The address is the one that was seen: see `client-address.ts`. */
  take(address: string): void;
  /** Throws when none is left, without taking. */
  check(address: string): void;
}

interface Bucket {
  tokens: number;
  atMs: number;
}
const maxAddresses = 10_000;

/** Token bucket per address (`toAddressBlock`): `burst` at once, refilled evenly over a minute. Memory is bounded. */
export function createRateLimit(
  clock: Clock,
  options: { readonly burst: number; readonly perMinute: number },
): RateLimit {
  const buckets = new Map<string, Bucket>();
  const refill = (address: string): Bucket => {
    const block = toAddressBlock(address);
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(block) ?? { tokens: options.burst, atMs: nowMs };
    const gained = ((nowMs - bucket.atMs) / 60_000) * options.perMinute;
    const filled = { tokens: Math.min(options.burst, bucket.tokens + gained), atMs: nowMs };
    buckets.delete(block);
    buckets.set(block, filled);
    const [oldest] = buckets.keys();
    if (buckets.size > maxAddresses && oldest !== undefined) buckets.delete(oldest);
    return filled;
  };
  const require = (bucket: Bucket): void => {
    if (bucket.tokens >= 1) return;
    throw new CodedError<HttpErrorCode>("rate_limited", "too many requests from this address", {
      hint: `wait ${Math.ceil(60 / options.perMinute)} seconds`,
    });
  };
  return {
    take: (address) => {
      const bucket = refill(address);
      require(bucket);
      bucket.tokens -= 1;
    },
    check: (address) => require(refill(address)),
  };
}
