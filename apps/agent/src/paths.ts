import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** Where everything lies below the data folder. Names on disk come from digests and checked slot names only. */
export interface DataPaths {
  readonly root: string;
  readonly identity: string;
  readonly slots: string;
  readonly artifacts: string;
  readonly downloads: string;
  readonly state: string;
  readonly outbox: string;
  readonly run: string;
  /** Trusted metadata of The Update Framework. */
  readonly trust: string;
  /** Requests to measure a slot's builds again. */
  readonly measure: string;
}

export function toDataPaths(root: string): DataPaths {
  return {
    root,
    identity: join(root, "identity"),
    slots: join(root, "slots"),
    artifacts: join(root, "models", "sha256"),
    downloads: join(root, "downloads"),
    state: join(root, "state"),
    outbox: join(root, "outbox.db"),
    run: join(root, "run"),
    trust: join(root, "state", "trust"),
    measure: join(root, "run", "measure"),
  };
}

export function createDataFolders(paths: DataPaths): void {
  for (const folder of [
    paths.root,
    paths.identity,
    paths.slots,
    paths.artifacts,
    paths.downloads,
    paths.state,
    paths.run,
  ])
    mkdirSync(folder, { recursive: true, mode: 0o700 });
}
