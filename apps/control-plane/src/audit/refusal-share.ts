import { hasErrorCode, type Clock } from "@fairlead/kernel";
import { createRateLimit } from "../http/middleware/rate-limit.ts";

/** Whose refusals are counted together: nobody who is known, a device, or a person or program with a token. */
type CallerClass = "anonymous" | "device" | "person";

export interface Sharer {
  readonly actor: string;
  readonly from: string;
  /** An address or a caller that is not listened to for a while; said once a minute while it lasts. */
  readonly isLockOut: boolean;
}

function toClass(actor: string): CallerClass {
  if (actor === "anonymous") return "anonymous";
  return actor.startsWith("device:") ? "device" : "person";
}

/**
 * Which refusals get an entry of their own. Each address (of callers who are known: each caller) gets 60 at once and 30 a
 * minute; all of one class together 600 at once, 300 a minute and 20,000 a day, which is some 12 MB. Classes have shares of
 * their own, so that nobody hides what a token or a device was refused behind a flood of strangers.
 */
export function createRefusalShares(clock: Clock): (sharer: Sharer) => boolean {
  const createClass = () => ({
    each: createRateLimit(clock, { burst: 60, perMinute: 30 }),
    all: createRateLimit(clock, { burst: 600, perMinute: 300 }),
    day: createRateLimit(clock, { burst: 20_000, perMinute: 20_000 / 1_440 }),
  });
  const classes = { anonymous: createClass(), device: createClass(), person: createClass() };
  const lockOuts = createRateLimit(clock, { burst: 1, perMinute: 1 });
  return ({ actor, from, isLockOut }) => {
    const kind = toClass(actor);
    const { each, all, day } = classes[kind];
    const key = kind === "anonymous" ? from : actor;
    try {
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
