import { and, asc, desc, eq, gt, inArray } from "drizzle-orm";
import type { Database } from "../database.ts";
import {
  artifacts,
  modelVersions,
  releases,
  type ArtifactRow,
  type ModelVersionRow,
  type ReleaseRow,
} from "../schema/registry.ts";
import { inParts } from "./in-parts.ts";

interface Page {
  /** The last key of the page before. */
  readonly after?: string;
  readonly limit: number;
}

export interface ArtifactRepository {
  get(digest: string): Promise<ArtifactRow | undefined>;
  /** Those that are not stored are left out. */
  listOf(digests: readonly string[]): Promise<ArtifactRow[]>;
  listDigests(): Promise<string[]>;
  add(row: ArtifactRow): Promise<void>;
}

export function createArtifactRepository(db: Database): ArtifactRepository {
  return {
    get: async (digest) => (await db.select().from(artifacts).where(eq(artifacts.digest, digest)).limit(1))[0],
    listOf: async (digests) =>
      await inParts(digests, (some) => db.select().from(artifacts).where(inArray(artifacts.digest, some))),
    listDigests: async () => (await db.select({ digest: artifacts.digest }).from(artifacts)).map((row) => row.digest),
    add: async (row) => {
      await db.insert(artifacts).values(row);
    },
  };
}

export interface ModelVersionRepository {
  get(model: string, version: string): Promise<ModelVersionRow | undefined>;
  /** Names of models, in order. */
  listModels(page: Page): Promise<string[]>;
  /** In the order of their registration. */
  listVersions(model: string): Promise<ModelVersionRow[]>;
  add(row: ModelVersionRow): Promise<void>;
}

export function createModelVersionRepository(db: Database): ModelVersionRepository {
  const isVersion = (model: string, version: string) =>
    and(eq(modelVersions.model, model), eq(modelVersions.version, version));
  return {
    get: async (model, version) => (await db.select().from(modelVersions).where(isVersion(model, version)).limit(1))[0],
    listModels: async ({ after, limit }) => {
      const rows = await db
        .selectDistinct({ model: modelVersions.model })
        .from(modelVersions)
        .where(gt(modelVersions.model, after ?? ""))
        .orderBy(asc(modelVersions.model))
        .limit(limit);
      return rows.map((row) => row.model);
    },
    listVersions: async (model) =>
      await db
        .select()
        .from(modelVersions)
        .where(eq(modelVersions.model, model))
        .orderBy(asc(modelVersions.createdAtMs), asc(modelVersions.version)),
    add: async (row) => {
      await db.insert(modelVersions).values(row);
    },
  };
}

export interface ReleaseRepository {
  get(releaseId: string): Promise<ReleaseRow | undefined>;
  /** The newest release of a version, also when it has expired. */
  getLatest(model: string, version: string): Promise<ReleaseRow | undefined>;
  /** Those that are not stored are left out. */
  listOf(releaseIds: readonly string[]): Promise<ReleaseRow[]>;
  /** By id, which is the order of time. */
  list(page: Page): Promise<ReleaseRow[]>;
  /** Versions of the model that have a release. */
  listReleasedVersions(model: string): Promise<string[]>;
  add(row: ReleaseRow): Promise<void>;
}

export function createReleaseRepository(db: Database): ReleaseRepository {
  return {
    get: async (releaseId) => (await db.select().from(releases).where(eq(releases.releaseId, releaseId)).limit(1))[0],
    getLatest: async (model, version) =>
      (
        await db
          .select()
          .from(releases)
          .where(and(eq(releases.model, model), eq(releases.version, version)))
          .orderBy(desc(releases.createdAtMs), desc(releases.releaseId))
          .limit(1)
      )[0],
    listOf: async (releaseIds) =>
      await inParts(releaseIds, (some) => db.select().from(releases).where(inArray(releases.releaseId, some))),
    list: async ({ after, limit }) =>
      await db
        .select()
        .from(releases)
        .where(gt(releases.releaseId, after ?? ""))
        .orderBy(asc(releases.releaseId))
        .limit(limit),
    listReleasedVersions: async (model) => {
      const rows = await db
        .selectDistinct({ version: releases.version })
        .from(releases)
        .where(eq(releases.model, model));
      return rows.map((row) => row.version);
    },
    add: async (row) => {
      await db.insert(releases).values(row);
    },
  };
}
