import { toReleaseTarget, toReleaseTargetPath, type ReleaseTarget } from "@fairlead/artifacts/tuf";
import { CodedError, hasErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
import type { Release } from "@fairlead/protocol";
import {
  createHttpFetch,
  initializeTrust,
  openUpdater,
  toUpdaterErrorCode,
  type FetchResource,
  type Updater,
  type UpdaterErrorCode,
} from "@fairlead/updater";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Agent } from "node:https";
import { basename, join } from "node:path";

export type AdmissionVerdict =
  | { readonly kind: "admitted" }
  | {
      readonly kind: "refused";
      readonly code: UpdaterErrorCode | "target_unknown" | "target_mismatch";
      readonly reason: string;
    }
  /** Nobody could be asked: neither yes nor no. */
  | { readonly kind: "unknown"; readonly reason: string };

export interface ReleaseAdmissionOptions {
  readonly folder: string;
  /** The root document of the enrolment. */
  readonly trustRoot: string;
  readonly apiUrl: string;
  readonly agent: Agent;
  /** Asked in their order while the plane cannot be reached; what they say counts by its signatures and versions. */
  readonly mirrors: readonly MetadataMirror[];
  /** A mirror offers what cannot be believed. */
  readonly onMirrorFailed: (
    mirror: MetadataMirror,
    failure: { readonly code: string; readonly reason: string },
  ) => void;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

export interface MetadataMirror {
  /** Origin. */
  readonly name: string;
  readonly metadataUrl: string;
  readonly fetch: FetchResource;
  /** Left alone for a while. */
  readonly isAside: () => boolean;
}

/** A target with what is known of it; the name alone: whatever its publisher signed under it. */
type Wanted = ReleaseTarget | { readonly path: string; readonly sha256?: undefined };

export interface VouchedName {
  readonly model: string;
  readonly version: string;
  readonly releaseId: string;
}

/** The documents that this device has, as a source that never has newer ones. */
function toKept(folder: string): Source {
  return {
    metadataUrl: "https://kept.invalid/",
    mirror: null,
    fetch: async (url) => {
      const name = basename(new URL(url).pathname).replace(/^\d+\./u, "");
      // The chain of roots ends with the one that is trusted.
      if (name === "root.json") return { kind: "absent", status: 404 };
      const bytes = await readFile(join(folder, name)).catch(() => null);
      return bytes === null ? { kind: "absent", status: 404 } : { kind: "bytes", bytes };
    },
  };
}

interface Source {
  readonly metadataUrl: string;
  readonly fetch: FetchResource;
  readonly mirror: MetadataMirror | null;
}

/**
 * Asks the metadata of The Update Framework whether publishers vouch for releases. The plane hands these documents on, and
 * cannot write them: what it asks for without a publisher is refused here.
 */
export class ReleaseAdmission {
  readonly #options: ReleaseAdmissionOptions;
  readonly #fetch: FetchResource;
  /** One question at a time: they share the folder. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ReleaseAdmissionOptions) {
    this.#options = options;
    this.#fetch = createHttpFetch({ agent: options.agent });
  }

  admit(releases: readonly Release[]): Promise<AdmissionVerdict> {
    return this.#inTurn(() => this.#admit(releases.map(toReleaseTarget)));
  }

  /**
   * Does anybody who may do so vouch, now, for a release that was admitted before? Its document is not here any more, so
   * its name is asked for; its bytes are those that were admitted. Whoever keeps newer documents from the device gains
   * nothing while those that it has are fresh: then they are asked.
   */
  vouch({ model, version, releaseId }: VouchedName): Promise<AdmissionVerdict> {
    const wanted = [{ path: toReleaseTargetPath({ releaseId, content: { model, version } }) }];
    return this.#inTurn(async () => {
      const said = await this.#admit(wanted);
      if (said.kind === "admitted" || (said.kind === "refused" && said.code === "target_unknown")) return said;
      const kept = await this.#ask(toKept(this.#options.folder), wanted);
      return kept.kind === "refused" && kept.code === "target_unknown" ? kept : said;
    });
  }

  /** Asks only whether anything is newer, and keeps the answer. @throws CodedError when nobody who is believed answers */
  async refresh(): Promise<void> {
    const verdict = await this.admit([]);
    if (verdict.kind !== "admitted") throw new CodedError("metadata_unreachable", verdict.reason);
  }

  /** When the last statement that was verified ends; null when none can be read. */
  readUntilMs(): Promise<number | null> {
    return this.#inTurn(async () => {
      try {
        const text = await readFile(join(this.#options.folder, "timestamp.json"), "utf8");
        return Date.parse((JSON.parse(text) as { signed: { expires: string } }).signed.expires);
      } catch {
        return null;
      }
    });
  }

  #inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const mine = this.#turn.then(run, run);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #admit(wanted: readonly Wanted[]): Promise<AdmissionVerdict> {
    const { apiUrl, mirrors, onMirrorFailed } = this.#options;
    const plane = { metadataUrl: new URL("/api/v1/trust/metadata/", apiUrl).href, fetch: this.#fetch, mirror: null };
    let answer = await this.#ask(plane, wanted);
    for (const mirror of mirrors) {
      if (answer.kind !== "unknown") return answer;
      if (mirror.isAside()) continue;
      const said = await this.#ask({ ...mirror, mirror }, wanted);
      // What the metadata itself says counts whoever brought it; a document that is refused speaks of the mirror alone.
      const isAboutMirror =
        said.kind === "refused" && said.code !== "target_unknown" && said.code !== "target_mismatch";
      if (isAboutMirror) onMirrorFailed(mirror, said);
      else answer = said;
    }
    return answer;
  }

  async #ask(source: Source, wanted: readonly Wanted[]): Promise<AdmissionVerdict> {
    try {
      const updater = await this.#open(source);
      try {
        await updater.refresh();
        for (const one of wanted) {
          const verdict = await this.#judge(updater, one);
          if (verdict.kind !== "admitted") return verdict;
        }
        return { kind: "admitted" };
      } finally {
        await updater.close();
      }
    } catch (error) {
      const code = toUpdaterErrorCode(error);
      const reason = toErrorMessage(error).slice(0, 300);
      return code === "metadata_unreachable" ? { kind: "unknown", reason } : { kind: "refused", code, reason };
    }
  }

  async #judge(updater: Updater, wanted: Wanted): Promise<AdmissionVerdict> {
    const target = await updater.findTarget(wanted.path);
    if (target === undefined)
      return { kind: "refused", code: "target_unknown", reason: `no publisher vouches for ${wanted.path}` };
    if (wanted.sha256 === undefined) return { kind: "admitted" };
    if (target.hashes["sha256"] === wanted.sha256 && target.lengthBytes === wanted.lengthBytes)
      return { kind: "admitted" };
    return { kind: "refused", code: "target_mismatch", reason: `${wanted.path} is not what its publisher signed` };
  }

  /** A root that a failing disk ruined is replaced by the one of the enrolment; the chain from there is walked anew. */
  async #open({ metadataUrl, fetch }: Source): Promise<Updater> {
    const { folder, trustRoot, nowMs, logger } = this.#options;
    const begin = () => initializeTrust(folder, Buffer.from(trustRoot));
    if (!existsSync(join(folder, "root.json"))) await begin();
    const options = { folder, metadataUrl, fetch, nowMs };
    try {
      return await openUpdater(options);
    } catch (error) {
      if (!hasErrorCode(error, "root_invalid")) throw error;
      logger.error("the trusted root was damaged; the one of the enrolment is used", { reason: toErrorMessage(error) });
      await begin();
      return await openUpdater(options);
    }
  }
}
