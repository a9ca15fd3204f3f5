import type { LoadedModel, SharedRows, Placement, PlacementChange } from "@fairlead/inference";

type Watcher = (change: PlacementChange) => void;

/** Changes of placement, kept until somebody watches: a model may lose its accelerator while the next one is loaded. */
export class PlacementChanges {
  #early: PlacementChange[] = [];
  #watcher: Watcher | null = null;

  tell(change: PlacementChange): void {
    if (this.#watcher === null) this.#early.push(change);
    else this.#watcher(change);
  }

  watch(watcher: Watcher): void {
    this.#watcher = watcher;
    for (const change of this.#early.splice(0)) watcher(change);
  }
}

/** The same build, loaded as often as it may run at once, in one go and on the same providers. */
export class LoadedInstances {
  readonly models: readonly [LoadedModel, ...LoadedModel[]];
  readonly changes: PlacementChanges;
  readonly sharedRows: SharedRows;
  /** Whether rows of several requests may share a run, as far as the names of the inputs' dimensions say. */
  readonly mayJoin: boolean;

  constructor(
    models: readonly [LoadedModel, ...LoadedModel[]],
    {
      changes,
      sharedRows,
      mayJoin,
    }: { readonly changes: PlacementChanges; readonly sharedRows: SharedRows; readonly mayJoin: boolean },
  ) {
    this.models = models;
    this.sharedRows = sharedRows;
    this.mayJoin = mayJoin;
    this.changes = changes;
  }

  /** Where they run; when one of them is not where it should be, where that one runs. */
  get placement(): Placement {
    const failed = this.models.find(({ placement }) => placement.failedProvider !== undefined);
    return (failed ?? this.models[0]).placement;
  }

  /** Waits for runs in progress. Nobody is told of changes any more. */
  async close(): Promise<void> {
    this.changes.watch(() => undefined);
    for (const model of this.models) await model.close();
  }
}
