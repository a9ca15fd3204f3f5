import type { BodyMemory } from "./body-memory.ts";
import { ServeError } from "./serving-error.ts";

/** What one request holds of the budget, from its first byte until its answer is written: its memory waits and runs with it. */
export interface BodyHold {
  /** @throws ServeError `overloaded` when it is more than the requests that are here leave */
  add(bytes: number): void;
  /** Takes as much as a body will need before its bytes are here, when half of the budget stays for those that arrive. */
  tryAhead(bytes: number): boolean;
  /** From here until `arrived` its client may be told to come again, when others need the room: `giveWay` does that. */
  arriving(giveWay: (error: ServeError) => void): void;
  arrived(): void;
  /**
   * Batch work waits for as long as the device is busy or hot; together its requests hold at most half of the budget.
   * @throws ServeError `overloaded`
   */
  waitAsBatch(): void;
  /** Gives everything back; it may be used again. */
  release(): void;
}

export interface BodyBudget {
  readonly usedBytes: number;
  open(): BodyHold;
}

export interface BodyBudgetOptions {
  readonly maxBytes: number;
  /** The largest body that must fit while nothing else is there. */
  readonly eachBytes: number;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

/** A quarter of the budget is for bodies up to this, so that a few large ones do not keep everybody out. */
const smallBytes = 1_048_576;
/** An honest body takes a tenth of it on this machine. */
const minArrivalMs = 2_000;

interface Arrival {
  readonly sinceMs: number;
  readonly giveWay: (error: ServeError) => void;
}

/**
 * Bounds the memory of all bodies and answers together: beyond it the process would end itself, and name a model that did nothing.
 * When it is full, the body that has been arriving for longest, two seconds at least, gives way: whoever stops in the middle
 * of a body keeps nobody out.
 */
export function createBodyBudget({ maxBytes, eachBytes, nowMs }: BodyBudgetOptions): BodyBudget {
  let usedBytes = 0;
  let batchBytes = 0;
  const largeBytes = Math.min(maxBytes, Math.max(eachBytes, 0.75 * maxBytes));
  /** In the order in which they began. */
  const arrivals = new Map<BodyHold, Arrival>();

  /** @returns whether one gave way */
  const makeRoom = (besides: BodyHold): boolean => {
    for (const [hold, { sinceMs, giveWay }] of arrivals) {
      if (hold === besides) continue;
      if (nowMs() - sinceMs < minArrivalMs) return false;
      giveWay(tooMuch(maxBytes));
      hold.release();
      return true;
    }
    return false;
  };

  const open = (): BodyHold => {
    let heldBytes = 0;
    let batch = false;
    const take = (bytes: number): void => {
      heldBytes += bytes;
      usedBytes += bytes;
      if (batch) batchBytes += bytes;
    };
    const hold: BodyHold = {
      add(bytes) {
        const limit = heldBytes + bytes > smallBytes ? largeBytes : maxBytes;
        while (usedBytes + bytes > limit) if (!makeRoom(hold)) throw tooMuch(maxBytes);
        take(bytes);
      },
      tryAhead(bytes) {
        if (usedBytes + bytes > maxBytes / 2) return false;
        take(bytes);
        return true;
      },
      arriving(giveWay) {
        arrivals.set(hold, { sinceMs: nowMs(), giveWay });
      },
      arrived() {
        arrivals.delete(hold);
      },
      waitAsBatch() {
        if (batchBytes > 0 && batchBytes + heldBytes > maxBytes / 2) throw tooMuch(maxBytes / 2);
        batch = true;
        batchBytes += heldBytes;
      },
      release() {
        arrivals.delete(hold);
        usedBytes -= heldBytes;
        if (batch) batchBytes -= heldBytes;
        heldBytes = 0;
        batch = false;
      },
    };
    return hold;
  };
  return {
    get usedBytes() {
      return usedBytes;
    },
    open,
  };
}

function tooMuch(bytes: number): ServeError {
  return new ServeError("overloaded", `the requests that are being worked on hold ${bytes} bytes, the most allowed`);
}

/** The same memory, counted. */
export function toCountedMemory(memory: BodyMemory, hold: BodyHold): BodyMemory {
  return {
    take(length) {
      hold.add(length);
      return memory.take(length);
    },
    give: (buffer) => memory.give(buffer),
  };
}
