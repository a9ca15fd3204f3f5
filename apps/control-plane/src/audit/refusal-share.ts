import { hasErrorCode, toAddressBlock, type Clock } from "@fairlead/kernel";
import { createRateLimit } from "../http/middleware/rate-limit.ts";

/** Whose refusals are counted together: nobody who is known, a device, or a person or program with a token. */
export type CallerClass = "anonymous" | "device" | "person";

export interface Sharer {
  readonly actor: string;
  readonly from: string;
  /** An address or a caller that is not listened to for a while; said once a minute while it lasts. */
  readonly isLockOut: boolean;
  /** What was refused, where one entry stands for many of the same kind. */
  readonly kind: string | undefined;
}

export function toCallerClass(actor: string): CallerClass {
  if (actor === "anonymous") return "anonymous";
  return actor.startsWith("device:") ? "device" : "person";
}

/** Who it was, as shares count: the caller, or where nobody is known the address. */
export function toSharerName({ actor, from }: Pick<Sharer, "actor" | "from">): string {
  return actor === "anonymous" ? `anonymous ${toAddressBlock(from)}` : actor;
}

/**
 * Which refusals get an entry of their own. Each address (of callers who are known: each caller) gets 60 at once and 30 a
 * minute; all of one class together 600 at once, 300 a minute and 20,000 a day, which is some 12 MB. Classes have shares of
 * their own, so that nobody hides what a token or a device was refused behind a flood of strangers. What has a kind has one
 * entry in ten minutes for each caller and kind, out of a share of its own, and so takes no entry from what weighs more.
 */
export function createRefusalShares(clock: Clock): (sharer: Sharer) => boolean {
  const createClass = () => ({
    each: createRateLimit(clock, { burst: 60, perMinute: 30 }),
    all: createRateLimit(clock, { burst: 600, perMinute: 300 }),
    day: createRateLimit(clock, { burst: 20_000, perMinute: 20_000 / 1_440 }),
    eachKind: createRateLimit(clock, { burst: 1, perMinute: 1 / 10, toKey: (key) => key }),
    allKinds: createRateLimit(clock, { burst: 100, perMinute: 2_000 / 1_440 }),
  });
  const classes = { anonymous: createClass(), device: createClass(), person: createClass() };
  const lockOuts = createRateLimit(clock, { burst: 1, perMinute: 1 });
  return ({ actor, from, isLockOut, kind }) => {
    const callers = toCallerClass(actor);
    const { each, all, day, eachKind, allKinds } = classes[callers];
    const key = callers === "anonymous" ? from : actor;
    try {
      if (kind !== undefined) {
        eachKind.take(`${toSharerName({ actor, from })} ${kind}`);
        allKinds.take("");
        return true;
      }
      (isLockOut ? lockOuts : each).take(key);
      all.take("");
      day.take("");
      return true;
    } catch (error) {
      if (hasErrorCode(error, "rate_limited")) return false;
      throw error;
    }
  };
}
