import type { Artifact, Inspection, ModelVersion, SignedRelease } from "@fairlead/protocol";
import { defineTable } from "./define-table.ts";

/** A stored file; the bytes lie in the content-addressed folder under the same digest. */
export const artifacts = defineTable("artifacts", (column) => ({
  digest: column.text().primaryKey(),
  sizeBytes: column.integer().notNull(),
  kind: column.text().$type<Artifact["kind"]>().notNull(),
  /** null for golden sets. */
  inspection: column.json<Inspection>(),
  createdAtMs: column.timeMs().notNull(),
  createdBy: column.text().notNull(),
}));
export type ArtifactRow = typeof artifacts.$inferSelect;

export const modelVersions = defineTable(
  "model_versions",
  (column) => ({
    model: column.text().notNull(),
    version: column.text().notNull(),
    content: column.json<ModelVersion>().notNull(),
    createdAtMs: column.timeMs().notNull(),
    createdBy: column.text().notNull(),
  }),
  ["model", "version"],
);
export type ModelVersionRow = typeof modelVersions.$inferSelect;

/** Signed statements; a version may be released again, then the newest one counts. */
export const releases = defineTable("releases", (column) => ({
  releaseId: column.text().primaryKey(),
  model: column.text().notNull(),
  version: column.text().notNull(),
  document: column.json<SignedRelease>().notNull(),
  createdAtMs: column.timeMs().notNull(),
  expiresAtMs: column.timeMs().notNull(),
  createdBy: column.text().notNull(),
}));
export type ReleaseRow = typeof releases.$inferSelect;

/** Versions that a rollout failed for cause; they are rolled out again only when a second person accepts that. */
export const knownBadVersions = defineTable(
  "known_bad_versions",
  (column) => ({
    model: column.text().notNull(),
    version: column.text().notNull(),
    /** What was rolled out, by which rollout, and what its stage said. */
    releaseId: column.text().notNull(),
    rolloutId: column.text().notNull(),
    code: column.text().notNull(),
    reason: column.text().notNull(),
    judgedAtMs: column.timeMs().notNull(),
    /** Who has accepted to run it all the same; null: nobody since it was judged last. */
    acceptedBy: column.text(),
    acceptedAtMs: column.timeMs(),
    acceptedReason: column.text(),
  }),
  ["model", "version"],
);
export type KnownBadVersionRow = typeof knownBadVersions.$inferSelect;

/** Documents of The Update Framework, each under the name by which it is fetched; what was served is never changed. */
export const trustMetadata = defineTable("trust_metadata", (column) => ({
  /** `<version>.<role>.json`; `timestamp.json` alone is replaced. */
  name: column.text().primaryKey(),
  role: column.text().notNull(),
  version: column.integer().notNull(),
  text: column.text().notNull(),
  createdAtMs: column.timeMs().notNull(),
  createdBy: column.text().notNull(),
}));
export type TrustMetadataRow = typeof trustMetadata.$inferSelect;
