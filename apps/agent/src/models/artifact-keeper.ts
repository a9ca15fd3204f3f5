import { hasErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
import type { ArtifactReference, EventData } from "@fairlead/protocol";
import { CodedError } from "@fairlead/kernel";
import type { ArtifactStore } from "./artifact-store.ts";
import { download } from "./download.ts";
import type { Mirrors } from "./mirrors.ts";

export interface ArtifactKeeperOptions {
  readonly store: ArtifactStore;
  readonly mirrors: Pick<Mirrors, "sourcesOf" | "onServed" | "onFailed">;
  readonly emit: (data: EventData) => void;
  readonly logger: Logger;
}

export interface FetchOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (ratio: number) => void;
}

/** Brings artifacts into the store and removes what nobody needs; the two never work at the same time. */
export class ArtifactKeeper {
  readonly #options: ArtifactKeeperOptions;
  #isFullTold = false;
  readonly #fetching = new Map<string, Promise<unknown>>();
  #cleaning: Promise<void> = Promise.resolve();

  constructor(options: ArtifactKeeperOptions) {
    this.#options = options;
  }

  toPath(digest: string): string {
    return this.#options.store.toPath(digest);
  }

  /** Skips what is intact. Two slots that want the same artifact fetch it once. Codes of download and store. */
  async fetch(artifact: ArtifactReference, options: FetchOptions): Promise<void> {
    await this.#cleaning;
    const before = this.#fetching.get(artifact.digest) ?? Promise.resolve();
    const mine = before.catch(() => undefined).then(() => this.#fetchNow(artifact, options));
    this.#fetching.set(artifact.digest, mine);
    try {
      await mine;
    } finally {
      if (this.#fetching.get(artifact.digest) === mine) this.#fetching.delete(artifact.digest);
    }
  }

  async #fetchNow(artifact: ArtifactReference, { signal, onProgress }: FetchOptions): Promise<void> {
    const { store, mirrors, emit, logger } = this.#options;
    if (signal.aborted) throw new CodedError("download_canceled", "the download was called off");
    if (await store.isIntact(artifact)) return;
    const partPath = store.toPartPath(artifact.digest);
    try {
      await download({
        sources: mirrors.sourcesOf(artifact.digest),
        artifact,
        partPath,
        accept: () => store.install(artifact),
        onServed: (source) => {
          logger.info("an artifact was fetched", { digest: artifact.digest, source: source.name });
          mirrors.onServed(source);
        },
        onFailed: (source, error) => mirrors.onFailed(source, error),
        signal,
        onProgress: (received) => onProgress(received / artifact.sizeBytes),
      });
      this.#isFullTold = false;
    } catch (error) {
      // Tried again every few seconds, and told once until a download has found room.
      if (hasErrorCode(error, "disk_full") && !this.#isFullTold) {
        this.#isFullTold = true;
        const free = error instanceof CodedError ? Number(error.details["freeBytes"] ?? 0) : 0;
        emit({ kind: "disk-full", path: "downloads", freeBytes: Math.max(0, Math.floor(free)) });
      }
      throw error;
    }
  }

  /** Removes everything that is not in the list; waits while something is being fetched. */
  clean(toKept: () => ReadonlySet<string>): Promise<void> {
    this.#cleaning = this.#cleaning.then(async () => {
      if (this.#fetching.size > 0) return;
      try {
        const removed = await this.#options.store.keepOnly(toKept());
        if (removed.length > 0) this.#options.logger.info("artifacts removed", { removed });
      } catch (error) {
        this.#options.logger.warn("artifacts could not be removed", { reason: toErrorMessage(error) });
      }
    });
    return this.#cleaning;
  }
}
