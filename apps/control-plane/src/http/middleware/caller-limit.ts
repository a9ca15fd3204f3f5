import { toAddressBlock, type Clock } from "@fairlead/kernel";
import type { Caller } from "../route.ts";
import { createRateLimit } from "./rate-limit.ts";

/**
 * What a request counts as, each with buckets of its own: `api` by default; `bytes` of artifacts, which come in many ranges;
 * `probe` of whoever watches the process, which must not look dead because somebody behind the same address asks too much.
 */
export type Traffic = "api" | "bytes" | "probe";

export interface CallerRequestCount {
  readonly caller: Caller;
  readonly actor: string;
  readonly address: string;
  readonly traffic: Traffic;
}

/** Bytes in ranges are many requests that cost little. */
const bytesFactor = 10;

/**
 * So many requests of one caller, whoever that is: a token (with every session that was begun with it), a person, a device, or
 * an address where nobody is known. As many at once as in a minute. @throws CodedError `rate_limited`
 */
export function createCallerLimit(clock: Clock, perMinute: number): (request: CallerRequestCount) => void {
  const create = (rate: number) =>
    createRateLimit(clock, { burst: rate, perMinute: rate, toKey: (key) => key, whose: "from this caller" });
  const limits = { api: create(perMinute), bytes: create(perMinute * bytesFactor), probe: create(perMinute) };
  return ({ caller, actor, address, traffic }) =>
    limits[traffic].take(caller.kind === "anonymous" ? `address ${toAddressBlock(address)}` : actor);
}
