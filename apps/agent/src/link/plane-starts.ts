import type { Logger } from "@fairlead/kernel";
import { maxPlaneStarts, planeStartSchema, type EventData } from "@fairlead/protocol";
import * as z from "zod";
import type { Saved } from "../models/saved.ts";

export const planeStartsSchema = z.strictObject({ v: z.literal(1), last: planeStartSchema });

export type StartsVerdict =
  /** The start that is known, or one that continues it. */
  | { readonly kind: "continued"; readonly last: string | null }
  /** This plane's data does not remember the start that this device has met last. */
  | { readonly kind: "forked"; readonly last: string; readonly known: string };

/** Judges what a plane says of its own past against the last start that was met. A long list may have lost its end. */
export function judgeStarts(known: string | null, starts: readonly string[]): StartsVerdict {
  const [last] = starts;
  if (last === undefined) return { kind: "continued", last: known };
  const isKnown = known === null || starts.includes(known) || starts.length >= maxPlaneStarts;
  return isKnown ? { kind: "continued", last } : { kind: "forked", last, known };
}

export interface PlaneStartsOptions {
  readonly saved: Saved<z.infer<typeof planeStartsSchema>>;
  readonly emit: (data: EventData) => void;
  readonly logger: Logger;
}

/**
 * Remembers which start of its plane this device met last, so that two planes that were made of one are noticed as soon
 * as it meets them in turn. It goes on following both: an old backup must not lock a fleet out, and a thief of the data
 * folder holds every key of the plane anyway.
 */
export function createPlaneStarts({ saved, emit, logger }: PlaneStartsOptions): (starts: readonly string[]) => void {
  let known = saved.load()?.last ?? null;
  return (starts) => {
    const verdict = judgeStarts(known, starts);
    if (verdict.last === null || verdict.last === known) return;
    saved.save({ v: 1, last: verdict.last });
    known = verdict.last;
    if (verdict.kind !== "forked") return;
    const fork = { known: verdict.known, seen: verdict.last };
    logger.error("the plane does not remember a start of its own: it is a copy, or was restored", fork);
    emit({ kind: "plane-forked", ...fork });
  };
}
