import { desc, eq, inArray, lt } from "drizzle-orm";
import type { Database } from "../database.ts";
import { rollouts, type RolloutRow } from "../schema/controllers.ts";
import type { PageQuery } from "./page-query.ts";

export interface RolloutRepository {
  get(rolloutId: string): Promise<RolloutRow | undefined>;
  add(row: RolloutRow): Promise<void>;
  save(row: RolloutRow): Promise<void>;
  /** Newest first. */
  list(page: PageQuery): Promise<RolloutRow[]>;
  /**
   * What the controller looks after: everything that has not ended, and of the succeeded ones the newest of its slot
   * and selector while nothing newer has taken its place, so that devices which join later are offered the release too.
   */
  listLive(): Promise<RolloutRow[]>;
}

const open = ["ready", "running", "paused", "rolling_back"] as const;

export function createRolloutRepository(db: Database): RolloutRepository {
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
    listLive: async () => {
      const rows = await db
        .select()
        .from(rollouts)
        .where(inArray(rollouts.state, [...open, "succeeded"]))
        .orderBy(desc(rollouts.rolloutId));
      const taken = new Set<string>();
      return rows.filter((row) => {
        const place = `${row.slot} ${row.selector}`;
        const isNewest = !taken.has(place);
        taken.add(place);
        return row.state !== "succeeded" || isNewest;
      });
    },
  };
}
