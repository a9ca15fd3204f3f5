import { toReleaseTarget } from "@fairlead/artifacts/tuf";
import { toErrorMessage } from "@fairlead/kernel";
import type { Release } from "@fairlead/protocol";
import { initializeTrust, openUpdater, type FetchResource, type Updater } from "@fairlead/updater";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../errors.ts";

/** The repository that is asked, and the root that is trusted here. */
export interface Asking {
  readonly root: string;
  readonly nowMs: () => number;
  readonly fetch: FetchResource;
}

/** Runs the devices' updater, from a folder of its own. @throws CliError `trust_refused` */
export async function withUpdater<Result>(
  { root, nowMs, fetch }: Asking,
  run: (updater: Updater, folder: string) => Promise<Result>,
): Promise<Result> {
  const scratch = mkdtempSync(join(tmpdir(), "fairlead-verify-"));
  const folder = join(scratch, "metadata");
  try {
    await initializeTrust(folder, Buffer.from(root));
    const updater = await openUpdater({ folder, metadataUrl: "https://plane.invalid/metadata/", fetch, nowMs });
    try {
      return await run(updater, scratch);
    } finally {
      await updater.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("trust_refused", `a device would refuse this: ${toErrorMessage(error)}`, { cause: error });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Is this release what a device would take? @returns its path @throws CliError `trust_refused` */
export async function checkRelease(release: Release, asking: Asking): Promise<string> {
  const { path, sha256 } = toReleaseTarget(release);
  return await withUpdater(asking, async (updater, scratch) => {
    const target = await updater.findTarget(path);
    if (target === undefined) throw new CliError("trust_refused", `no publisher vouches for ${path}`);
    if (target.hashes["sha256"] !== sha256)
      throw new CliError("trust_refused", `${path} is not what its publisher signed`);
    const file = await updater.download(path, { baseUrl: "https://plane.invalid/targets/", folder: scratch });
    if (readFileSync(file).length !== target.lengthBytes)
      throw new CliError("trust_refused", `${path} has another length`);
    return path;
  });
}
