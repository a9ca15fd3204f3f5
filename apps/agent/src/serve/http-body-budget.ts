import type { BodyMemory } from "./body-memory.ts";
import { ServeError } from "./serving-error.ts";

/** What one request holds of the budget, from its first byte until it is answered: its memory waits and runs with it. */
export interface BodyHold {
  /** @throws ServeError `overloaded` when it is more than the requests that are here leave */
  add(bytes: number): void;
  /** Takes as much as a body will need before its bytes are here, when half of the budget stays for those that arrive. */
  tryAhead(bytes: number): boolean;
  /** Gives everything back; once. */
  release(): void;
}

export interface BodyBudget {
  readonly usedBytes: number;
  open(): BodyHold;
}

/** Bounds the memory of all bodies together: beyond it the process would end itself, and name a model that did nothing. */
export function createBodyBudget(maxBytes: number): BodyBudget {
  let usedBytes = 0;
  return {
    get usedBytes() {
      return usedBytes;
    },
    open() {
      let heldBytes = 0;
      const take = (bytes: number): void => {
        heldBytes += bytes;
        usedBytes += bytes;
      };
      return {
        add(bytes) {
          if (usedBytes + bytes > maxBytes)
            throw new ServeError(
              "overloaded",
              `the requests that are being worked on hold ${maxBytes} bytes, the most allowed`,
            );
          take(bytes);
        },
        tryAhead(bytes) {
          if (usedBytes + bytes > maxBytes / 2) return false;
          take(bytes);
          return true;
        },
        release() {
          usedBytes -= heldBytes;
          heldBytes = 0;
        },
      };
    },
  };
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
