import { and, asc, desc, eq, lt } from "drizzle-orm";
import type { Database } from "../database.ts";
import { adminTokens, enrolments, type AdminToken, type EnrolmentRow } from "../schema/devices.ts";

export interface EnrolmentRepository {
  add(enrolment: EnrolmentRow): Promise<void>;
  get(enrolmentId: string): Promise<EnrolmentRow | undefined>;
  /** Newest first, beginning before `before`. */
  list(page: {
    readonly before?: string;
    readonly limit: number;
    /** Leaves out the first so many. */
    readonly offset?: number;
    readonly state?: EnrolmentRow["state"];
  }): Promise<EnrolmentRow[]>;
  /** Enrolments of one device that were asked for with this key and token, newest first. */
  listOfDevice(device: string): Promise<EnrolmentRow[]>;
  update(enrolmentId: string, change: Partial<EnrolmentRow>): Promise<void>;
}

export function createEnrolmentRepository(db: Database): EnrolmentRepository {
  return {
    add: async (enrolment) => {
      await db.insert(enrolments).values(enrolment);
    },
    get: async (id) => (await db.select().from(enrolments).where(eq(enrolments.enrolmentId, id)).limit(1))[0],
    list: async (page) =>
      await db
        .select()
        .from(enrolments)
        .where(
          and(
            page.before === undefined ? undefined : lt(enrolments.enrolmentId, page.before),
            page.state === undefined ? undefined : eq(enrolments.state, page.state),
          ),
        )
        .orderBy(desc(enrolments.enrolmentId))
        .limit(page.limit)
        .offset(page.offset ?? 0),
    listOfDevice: async (device) =>
      await db.select().from(enrolments).where(eq(enrolments.device, device)).orderBy(desc(enrolments.enrolmentId)),
    update: async (enrolmentId, change) => {
      await db.update(enrolments).set(change).where(eq(enrolments.enrolmentId, enrolmentId));
    },
  };
}

export interface AdminTokenRepository {
  add(token: AdminToken): Promise<void>;
  get(tokenId: string): Promise<AdminToken | undefined>;
  findByHash(hash: string): Promise<AdminToken | undefined>;
  count(): Promise<number>;
  /** Oldest first; at most 1,000. */
  list(): Promise<AdminToken[]>;
  revoke(tokenId: string, revokedAtMs: number): Promise<void>;
}

export function createAdminTokenRepository(db: Database): AdminTokenRepository {
  return {
    add: async (token) => {
      await db.insert(adminTokens).values(token);
    },
    findByHash: async (hash) => (await db.select().from(adminTokens).where(eq(adminTokens.hash, hash)).limit(1))[0],
    get: async (tokenId) => (await db.select().from(adminTokens).where(eq(adminTokens.tokenId, tokenId)).limit(1))[0],
    count: async () => await db.$count(adminTokens),
    list: async () => await db.select().from(adminTokens).orderBy(asc(adminTokens.tokenId)).limit(1_000),
    revoke: async (tokenId, revokedAtMs) => {
      await db.update(adminTokens).set({ revokedAtMs }).where(eq(adminTokens.tokenId, tokenId));
    },
  };
}
