import type * as z from "zod";
import type { Saved } from "../models/saved.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { revisionSchema } from "./counters.ts";

type Revision = z.infer<typeof revisionSchema>;

/**
 * What was reserved lies beside the epoch, so that no damage gives a revision twice within one: the plane ignores a report
 * that is not newer. An agent of before kept it in a file of its own, which still counts where it says more.
 */
export function keepRevisionInOutbox(
  { epoch, reservedRevision }: Pick<Outbox, "epoch" | "reservedRevision">,
  before: Pick<Saved<Revision>, "load">,
): Saved<Revision> {
  return {
    load() {
      const file = before.load();
      const known = file?.epoch === epoch ? file.reservedUpTo : 0;
      return { v: 1, epoch, reservedUpTo: Math.max(known, reservedRevision.load()) };
    },
    save: ({ reservedUpTo }) => reservedRevision.save(reservedUpTo),
  };
}
