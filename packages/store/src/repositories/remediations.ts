import { and, desc, eq, gte, inArray, isNull, lt, or } from "drizzle-orm";
import type { Database } from "../database.ts";
import {
  alerts,
  commands,
  remediations,
  type AlertRow,
  type CommandRow,
  type RemediationRow,
} from "../schema/controllers.ts";
import type { PageQuery } from "./page-query.ts";

export interface CommandRepository {
  get(commandId: string): Promise<CommandRow | undefined>;
  add(row: CommandRow): Promise<void>;
  /** Ends a pending command; nothing happens to one that has ended. */
  end(commandId: string, change: Pick<CommandRow, "state" | "code" | "reason" | "endedAtMs">): Promise<boolean>;
  /** Another document of the same command, while it is pending. */
  replace(commandId: string, document: CommandRow["document"]): Promise<void>;
  listPending(device: string): Promise<CommandRow[]>;
  listOverdue(nowMs: number): Promise<CommandRow[]>;
  listByIds(ids: readonly string[]): Promise<CommandRow[]>;
}

export function createCommandRepository(db: Database): CommandRepository {
  const get = async (commandId: string) =>
    (await db.select().from(commands).where(eq(commands.commandId, commandId)).limit(1))[0];
  return {
    get,
    add: async (row) => {
      await db.insert(commands).values(row);
    },
    end: async (commandId, change) => {
      if ((await get(commandId))?.state !== "pending") return false;
      await db.update(commands).set(change).where(eq(commands.commandId, commandId));
      return true;
    },
    replace: async (commandId, document) => {
      await db
        .update(commands)
        .set({ document })
        .where(and(eq(commands.commandId, commandId), eq(commands.state, "pending")));
    },
    listPending: async (device) =>
      await db
        .select()
        .from(commands)
        .where(and(eq(commands.device, device), eq(commands.state, "pending"))),
    listOverdue: async (nowMs) =>
      await db
        .select()
        .from(commands)
        .where(and(eq(commands.state, "pending"), lt(commands.deadlineAtMs, nowMs))),
    listByIds: async (ids) =>
      ids.length === 0
        ? []
        : await db
            .select()
            .from(commands)
            .where(inArray(commands.commandId, [...ids])),
  };
}

export interface RemediationRepository {
  get(remediationId: string): Promise<RemediationRow | undefined>;
  save(row: RemediationRow): Promise<void>;
  /** Every open case, and ended ones that changed after the time. */
  listOpenOrSince(sinceMs: number): Promise<RemediationRow[]>;
  /** Newest first. */
  list(page: PageQuery): Promise<RemediationRow[]>;
}

export function createRemediationRepository(db: Database): RemediationRepository {
  return {
    get: async (remediationId) =>
      (await db.select().from(remediations).where(eq(remediations.remediationId, remediationId)).limit(1))[0],
    save: async (row) => {
      await db.insert(remediations).values(row).onConflictDoUpdate({ target: remediations.remediationId, set: row });
    },
    listOpenOrSince: async (sinceMs) =>
      await db
        .select()
        .from(remediations)
        .where(or(eq(remediations.open, true), gte(remediations.updatedAtMs, sinceMs))),
    list: async ({ limit, offset = 0, before }) =>
      await db
        .select()
        .from(remediations)
        .where(before === undefined ? undefined : lt(remediations.remediationId, before))
        .orderBy(desc(remediations.remediationId))
        .limit(limit)
        .offset(offset),
  };
}

export interface AlertQuery {
  readonly kind?: string;
  /** null: about no device. */
  readonly device?: string | null;
  readonly remediationId?: string;
}

export interface AlertRepository {
  get(alertId: string): Promise<AlertRow | undefined>;
  add(row: AlertRow): Promise<void>;
  /** Newest first. */
  list(page: PageQuery): Promise<AlertRow[]>;
  resolve(alertId: string, resolvedAtMs: number): Promise<void>;
  /** Those that fire and agree with every field that is given. */
  listFiring(query: AlertQuery): Promise<AlertRow[]>;
}

export function createAlertRepository(db: Database): AlertRepository {
  return {
    get: async (alertId) => (await db.select().from(alerts).where(eq(alerts.alertId, alertId)).limit(1))[0],
    add: async (row) => {
      await db.insert(alerts).values(row);
    },
    list: async ({ limit, offset = 0, before }) =>
      await db
        .select()
        .from(alerts)
        .where(before === undefined ? undefined : lt(alerts.alertId, before))
        .orderBy(desc(alerts.alertId))
        .limit(limit)
        .offset(offset),
    resolve: async (alertId, resolvedAtMs) => {
      const firing = and(eq(alerts.alertId, alertId), eq(alerts.state, "firing"));
      await db.update(alerts).set({ state: "resolved", resolvedAtMs }).where(firing);
    },
    listFiring: async ({ kind, device, remediationId }) =>
      await db
        .select()
        .from(alerts)
        .where(
          and(
            eq(alerts.state, "firing"),
            kind === undefined ? undefined : eq(alerts.kind, kind),
            device === undefined ? undefined : device === null ? isNull(alerts.device) : eq(alerts.device, device),
            remediationId === undefined ? undefined : eq(alerts.remediationId, remediationId),
          ),
        ),
  };
}
