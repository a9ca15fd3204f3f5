import { join } from "node:path";
import type { OperatorPolicy } from "@fairlead/inference/inspect";
import type { PlaneContext, PlaneModule } from "../context.ts";
import { createArtifactRoutes } from "../http/routes/artifacts.ts";
import { createModelRoutes } from "../http/routes/models.ts";
import { createReleaseRoutes } from "../http/routes/releases.ts";
import { InspectionThreads } from "./inspection-threads.ts";
import { createArtifactFiles, type ArtifactFilesOptions } from "./artifact-files.ts";

export interface RegistryOptions extends Omit<ArtifactFilesOptions, "folder"> {
  /** Which operators models may use; every one that the runtime has by default. */
  readonly operators?: OperatorPolicy;
}

/** Artifacts, model versions and releases: upload, inspect, register, sign, serve. */
export function createRegistry(plane: PlaneContext, { operators = {}, ...options }: RegistryOptions = {}): PlaneModule {
  const threads = new InspectionThreads();
  const context = { ...plane, operators, inspect: threads.inspect };
  const files = createArtifactFiles({ ...options, folder: join(plane.dataFolder, "artifacts") });
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
    stop: () => threads.stop(),
  };
}
