import { and, desc, eq, inArray, lt } from "drizzle-orm";
import type { Database } from "../database.ts";
import { rollouts, type RolloutRow } from "../schema/controllers.ts";
import { inParts } from "./in-parts.ts";
import type { PageQuery } from "./page-query.ts";

export interface RolloutRepository {
  get(rolloutId: string): Promise<RolloutRow | undefined>;
  add(row: RolloutRow): Promise<void>;
  save(row: RolloutRow): Promise<void>;
  /** Newest first. */
  list(page: PageQuery): Promise<RolloutRow[]>;
  /**
   * What the controller looks after, the newest first, without the records, which are as large as the fleet: everything
   * that has not ended, and of the succeeded ones the newest of its slot and selector while nothing newer has taken its
   * place, so that devices which join later are offered the release too. Of one slot, or of all.
   */
  listLivePlaces(slot?: string): Promise<LivePlace[]>;
  /** The same with their records. */
  listLive(): Promise<RolloutRow[]>;
}

/** Which devices a rollout selects. */
export type LivePlace = Pick<RolloutRow, "rolloutId" | "slot" | "selector" | "state">;

const open = ["ready", "running", "paused", "rolling_back"] as const;

/** Of the succeeded ones of a slot and selector only the newest looks after devices. */
function keepNewest(newestFirst: readonly LivePlace[]): LivePlace[] {
  const taken = new Set<string>();
  return newestFirst.filter((row) => {
    const place = `${row.slot} ${row.selector}`;
    const isNewest = !taken.has(place);
    taken.add(place);
    return row.state !== "succeeded" || isNewest;
  });
}

export function createRolloutRepository(db: Database): RolloutRepository {
  const listLivePlaces = async (slot?: string): Promise<LivePlace[]> => {
    const { rolloutId, selector, state } = rollouts;
    const rows = await db
      .select({ rolloutId, slot: rollouts.slot, selector, state })
      .from(rollouts)
      .where(and(slot === undefined ? undefined : eq(rollouts.slot, slot), inArray(state, [...open, "succeeded"])))
      .orderBy(desc(rolloutId));
    return keepNewest(rows);
  };
  return {
    get: async (rolloutId) => (await db.select().from(rollouts).where(eq(rollouts.rolloutId, rolloutId)).limit(1))[0],
    add: async (row) => {
      await db.insert(rollouts).values(row);
    },
    save: async (row) => {
      await db.update(rollouts).set(row).where(eq(rollouts.rolloutId, row.rolloutId));
    },
    list: async ({ limit, offset = 0, before }) =>
      await db
        .select()
        .from(rollouts)
        .where(before === undefined ? undefined : lt(rollouts.rolloutId, before))
        .orderBy(desc(rollouts.rolloutId))
        .limit(limit)
        .offset(offset),
    listLivePlaces,
    listLive: async () => {
      const ids = (await listLivePlaces()).map(({ rolloutId }) => rolloutId);
      return await inParts(ids, (some) =>
        db.select().from(rollouts).where(inArray(rollouts.rolloutId, some)).orderBy(desc(rollouts.rolloutId)),
      );
    },
  };
}
