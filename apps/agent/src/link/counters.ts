import { toErrorMessage, type Logger } from "@fairlead/kernel";
import { epochSchema } from "@fairlead/protocol";
import * as z from "zod";
import type { Saved } from "../models/saved.ts";

export const sessionSchema = z.strictObject({ v: z.literal(1), session: z.int().min(0) });

/** Numbers each attempt to connect, across restarts, so that a late will never speaks for a newer session. */
export function createSessionCounter(
  saved: Saved<z.infer<typeof sessionSchema>>,
  logger: Logger,
): {
  next(): number;
  current(): number;
} {
  let session = saved.load()?.session ?? 0;
  return {
    next() {
      session += 1;
      try {
        saved.save({ v: 1, session });
      } catch (error) {
        // A full disk keeps nobody from the plane: until the next start the number in memory is as good.
        logger.warn("the number of the session was not saved", { session, reason: toErrorMessage(error) });
      }
      return session;
    },
    current: () => session,
  };
}

export const revisionSchema = z.strictObject({ v: z.literal(1), epoch: epochSchema, reservedUpTo: z.int().min(0) });
const block = 256;

export interface RevisionCounterOptions {
  readonly saved: Saved<z.infer<typeof revisionSchema>>;
  readonly epoch: string;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/**
 * Revisions of one epoch never repeat; they are reserved in blocks so that a report needs no write of its own. Where none can
 * be reserved (a full disk) they go on from the time in seconds, which is beyond whatever an earlier start gave.
 */
export function createRevisionCounter({ saved, epoch, nowMs, logger }: RevisionCounterOptions): { next(): number } {
  const before = saved.load();
  let reservedUpTo = before?.epoch === epoch ? before.reservedUpTo : 0;
  let revision = reservedUpTo;
  return {
    next() {
      revision += 1;
      if (revision <= reservedUpTo) return revision;
      try {
        saved.save({ v: 1, epoch, reservedUpTo: revision - 1 + block });
        reservedUpTo = revision - 1 + block;
      } catch (error) {
        revision = Math.max(revision, Math.floor(nowMs() / 1_000));
        logger.warn("the number of a report was not saved", { revision, reason: toErrorMessage(error) });
      }
      return revision;
    },
  };
}
