import { toReleaseTarget, type MetadataFile } from "@fairlead/artifacts/tuf";
import { toErrorMessage } from "@fairlead/kernel";
import type { Release } from "@fairlead/protocol";
import { initializeTrust, openUpdater } from "@fairlead/updater";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toServedName } from "./freshness.ts";
import { refuseMetadata } from "./repository.ts";

export interface Trial {
  /** What a device that is up to date trusts now; only a root for the very first publication. */
  readonly trusted: readonly MetadataFile[];
  /** Everything that would be served. */
  readonly served: ReadonlyMap<string, string>;
  readonly releases: readonly Release[];
  readonly nowMs: number;
}

/**
 * Runs the devices' own updater over what is about to be served, from what devices trust now. What it would refuse there
 * is refused here, before anybody sees it.
 * @throws CodedError `metadata_refused`
 */
export async function tryAsDevice(trial: Trial): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "trust-trial-"));
  try {
    const root = trial.trusted.find(({ role }) => role === "root");
    if (root === undefined) return refuseMetadata("no root is trusted yet");
    await initializeTrust(folder, Buffer.from(root.text));
    for (const { role, text } of trial.trusted) await writeFile(join(folder, `${role}.json`), text);
    const updater = await openUpdater({
      folder,
      metadataUrl: "https://plane.invalid/",
      fetch: async (url) => {
        const text = trial.served.get(decodeURIComponent(new URL(url).pathname.slice(1)));
        return text === undefined ? { kind: "absent", status: 404 } : { kind: "bytes", bytes: Buffer.from(text) };
      },
      nowMs: () => trial.nowMs,
    });
    try {
      await updater.refresh();
      for (const release of trial.releases) {
        const { path, sha256, lengthBytes } = toReleaseTarget(release);
        const target = await updater.findTarget(path);
        if (target?.hashes["sha256"] !== sha256 || target.lengthBytes !== lengthBytes)
          refuseMetadata(`no publisher who may release ${release.content.model} vouches for ${path}`);
      }
    } finally {
      await updater.close();
    }
  } catch (error) {
    refuseMetadata(toErrorMessage(error), error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function toServed(files: readonly MetadataFile[]): Map<string, string> {
  return new Map(files.map((file) => [toServedName(file), file.text]));
}
