import { setTimeout as delay } from "node:timers/promises";
import type { ServingExit } from "../serving/serving-host.ts";
import type { SlotView } from "../models/slot-ports.ts";

/** How the serving process ended, for whoever had asked it something. */
export interface ServingEnd {
  /** The agent ended it, for a reason of its own. */
  readonly requested: boolean;
  /** Whether it had noted anything that it was at. */
  readonly named: boolean;
  /** Served models that ran. */
  readonly ran: readonly string[];
}

/** A process that has lost its connections is reaped at once. */
const waitMs = 3_000;
const maxKept = 16;

/** @param views as they were when it ended */
export function toServingEnd(
  exit: Pick<ServingExit, "cause" | "inflight" | "hungLoadId">,
  views: readonly Pick<SlotView, "served" | "servedLoadId">[],
): ServingEnd {
  const named = new Set([...exit.inflight, ...(exit.hungLoadId === null ? [] : [exit.hungLoadId])]);
  const ran = views.flatMap(({ served, servedLoadId }) =>
    served !== null && servedLoadId !== null && named.has(servedLoadId) ? [served.model] : [],
  );
  return { requested: exit.cause === "requested", named: named.size > 0, ran };
}

/** Whether an input whose connection broke may have done it. Null: the process lives on, so only this connection broke. */
export function isSuspected(
  asked: { readonly model: string; readonly queued: boolean },
  end: ServingEnd | null,
): boolean {
  if (end === null) return true;
  if (end.requested) return false;
  // What was not read yet may have ended it by being read.
  return end.ran.includes(asked.model) || (!asked.queued && !end.named);
}

/** The ends of the serving process, counted, since a connection may break before its end is known, or after. */
export class ServingEnds {
  #count = 0;
  #last: readonly ServingEnd[] = [];
  #next = Promise.withResolvers<void>();

  get count(): number {
    return this.#count;
  }

  note(end: ServingEnd): void {
    this.#count += 1;
    this.#last = [...this.#last, end].slice(-maxKept);
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }

  /** The first end after so many; null when it lives on. @throws what the signal gives as its reason */
  async after(count: number, signal: AbortSignal): Promise<ServingEnd | null> {
    const waiting = new AbortController();
    const either = AbortSignal.any([signal, waiting.signal]);
    if (this.#count <= count)
      await Promise.race([this.#next.promise, delay(waitMs, undefined, { signal: either }).catch(() => undefined)]);
    waiting.abort();
    signal.throwIfAborted();
    return this.#count > count ? (this.#last.at(count - this.#count) ?? null) : null;
  }
}
