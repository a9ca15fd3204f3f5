import { CodedError, toAddressBlock, type Clock } from "@fairlead/kernel";
import type { HttpErrorCode } from "@fairlead/protocol";

export interface RateLimit {
  /** Takes one; throws when none is left. The address is the one that was seen: see `client-address.ts`. */
  take(address: string): void;
  /** Throws when none is left, without taking. */
  check(address: string): void;
}

export interface RateLimitOptions {
  readonly burst: number;
  readonly perMinute: number;
  /** By what a caller counts; default the block of its address. */
  readonly toKey?: (caller: string) => string;
  /** Who asks too much, as it is told. */
  readonly whose?: string;
}

interface Bucket {
  tokens: number;
  atMs: number;
}
const maxCallers = 10_000;

/** Token bucket per caller: `burst` at once, refilled evenly over a minute. Memory is bounded. */
export function createRateLimit(clock: Clock, options: RateLimitOptions): RateLimit {
  const { burst, perMinute, toKey = toAddressBlock, whose = "from this address" } = options;
  const buckets = new Map<string, Bucket>();
  const refill = (caller: string): Bucket => {
    const key = toKey(caller);
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(key) ?? { tokens: burst, atMs: nowMs };
    const gained = ((nowMs - bucket.atMs) / 60_000) * perMinute;
    const filled = { tokens: Math.min(burst, bucket.tokens + gained), atMs: nowMs };
    buckets.delete(key);
    buckets.set(key, filled);
    const [oldest] = buckets.keys();
    if (buckets.size > maxCallers && oldest !== undefined) buckets.delete(oldest);
    return filled;
  };
  const require = ({ tokens }: Bucket): void => {
    if (tokens >= 1) return;
    const retryAfterS = Math.max(1, Math.ceil(((1 - tokens) * 60) / perMinute));
    throw new CodedError<HttpErrorCode>("rate_limited", `too many requests ${whose}`, {
      hint: `wait ${retryAfterS} seconds`,
      details: { retryAfterS },
    });
  };
  return {
    take: (caller) => {
      const bucket = refill(caller);
      require(bucket);
      bucket.tokens -= 1;
    },
    check: (caller) => require(refill(caller)),
  };
}
