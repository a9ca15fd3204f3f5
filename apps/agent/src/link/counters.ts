import { epochSchema } from "@fairlead/protocol";
import * as z from "zod";
import type { Saved } from "../models/saved.ts";

export const sessionSchema = z.strictObject({ v: z.literal(1), session: z.int().min(0) });

/** Numbers each attempt to connect, across restarts, so that a late will never speaks for a newer session. */
export function createSessionCounter(saved: Saved<z.infer<typeof sessionSchema>>): {
  next(): number;
  current(): number;
} {
  let session = saved.load()?.session ?? 0;
  return {
    next() {
      session += 1;
      saved.save({ v: 1, session });
      return session;
    },
    current: () => session,
  };
}

export const revisionSchema = z.strictObject({ v: z.literal(1), epoch: epochSchema, reservedUpTo: z.int().min(0) });
const block = 256;

/** Revisions of one epoch never repeat; they are reserved in blocks so that a report needs no write of its own. */
export function createRevisionCounter(saved: Saved<z.infer<typeof revisionSchema>>, epoch: string): { next(): number } {
  const before = saved.load();
  let reservedUpTo = before?.epoch === epoch ? before.reservedUpTo : 0;
  let revision = reservedUpTo;
  return {
    next() {
      if (revision + 1 > reservedUpTo) {
        saved.save({ v: 1, epoch, reservedUpTo: reservedUpTo + block });
        reservedUpTo += block;
      }
      revision += 1;
      return revision;
    },
  };
}
