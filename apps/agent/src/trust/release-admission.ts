import { toReleaseTarget } from "@fairlead/artifacts/tuf";
import { hasErrorCode, toErrorMessage, type Logger } from "@fairlead/kernel";
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
import type { Agent } from "node:https";
import { join } from "node:path";

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
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/**
 * Asks the metadata of The Update Framework whether publishers vouch for releases. The plane hands these documents on, and
 * cannot write them: what it asks for without a publisher is refused here.
 */
export class ReleaseAdmission {
  readonly #options: ReleaseAdmissionOptions;
  readonly #fetch: FetchResource;

  constructor(options: ReleaseAdmissionOptions) {
    this.#options = options;
    this.#fetch = createHttpFetch({ agent: options.agent });
  }

  async admit(releases: readonly Release[]): Promise<AdmissionVerdict> {
    try {
      const updater = await this.#open();
      try {
        await updater.refresh();
        for (const release of releases) {
          const verdict = await this.#judge(updater, release);
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

  async #judge(updater: Updater, release: Release): Promise<AdmissionVerdict> {
    const wanted = toReleaseTarget(release);
    const target = await updater.findTarget(wanted.path);
    if (target === undefined)
      return { kind: "refused", code: "target_unknown", reason: `no publisher vouches for ${wanted.path}` };
    if (target.hashes["sha256"] === wanted.sha256 && target.lengthBytes === wanted.lengthBytes)
      return { kind: "admitted" };
    return { kind: "refused", code: "target_mismatch", reason: `${wanted.path} is not what its publisher signed` };
  }

  /** A root that a failing disk ruined is replaced by the one of the enrolment; the chain from there is walked anew. */
  async #open(): Promise<Updater> {
    const { folder, trustRoot, apiUrl, nowMs, logger } = this.#options;
    const begin = () => initializeTrust(folder, Buffer.from(trustRoot));
    if (!existsSync(join(folder, "root.json"))) await begin();
    const options = { folder, metadataUrl: new URL("/api/v1/trust/metadata/", apiUrl).href, fetch: this.#fetch, nowMs };
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
