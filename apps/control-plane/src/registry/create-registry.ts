import { join } from "node:path";
import type { PlaneContext, PlaneModule } from "../context.ts";
import { createArtifactRoutes } from "../http/routes/artifacts.ts";
import { createModelRoutes } from "../http/routes/models.ts";
import { createReleaseRoutes } from "../http/routes/releases.ts";
import { createArtifactFiles, type ArtifactFilesOptions } from "./artifact-files.ts";

export type RegistryOptions = Omit<ArtifactFilesOptions, "folder">;

/** Artifacts, model versions and releases: upload, inspect, register, sign, serve. */
export function createRegistry(context: PlaneContext, options: RegistryOptions = {}): PlaneModule {
  const files = createArtifactFiles({ ...options, folder: join(context.dataFolder, "artifacts") });
  return {
    name: "registry",
    routes: [
      ...createArtifactRoutes(context, files),
      ...createModelRoutes(context, files),
      ...createReleaseRoutes(context),
    ],
    hooks: {},
    start: async () => {
      await files.prepare(new Set(await context.store.read.artifacts.listDigests()));
    },
    stop: async () => undefined,
  };
}
