import { listDelegations, toFileName, toReleaseTarget } from "@fairlead/artifacts/tuf";
import type { Client } from "@fairlead/client";
import { toErrorMessage } from "@fairlead/kernel";
import type { Publication, Release } from "@fairlead/protocol";
import { initializeTrust, openUpdater } from "@fairlead/updater";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CliError } from "../errors.ts";
import type { TrustFolder } from "./trust-folder.ts";

const maxReleases = 64;

/** Sends what the plane does not have yet. The plane checks it as a device would. */
export async function publishFolder(client: Client, folder: TrustFolder): Promise<Publication> {
  const { roles } = await client.trust.state();
  // What a revoked publisher once said is nobody's news; the plane has left it behind and refuses it.
  const speaking = new Set(["root", "targets", ...listPublishers(folder)]);
  const isNew = (name: string): boolean => {
    const [version, role = ""] = name.split(".");
    return speaking.has(role) && Number(version) > (roles[role]?.version ?? 0);
  };
  const documents = Object.fromEntries([...folder.documents()].filter(([name]) => isNew(name)));
  const known = new Set((await client.models.listReleases()).map(({ signed }) => signed.releaseId));
  const vouched = listVouched(folder);
  const releases = folder
    .releases()
    .filter((release) => !known.has(release.releaseId) && vouched.has(toReleaseTarget(release).path));
  return await client.trust.publish({ documents, releases: releases.slice(0, maxReleases) });
}

function listPublishers(folder: TrustFolder): string[] {
  return listDelegations(folder.read("targets", "targets").signed).map(({ role }) => role);
}

/** Paths for which a publisher of the present targets document speaks. */
function listVouched(folder: TrustFolder): Set<string> {
  return new Set(
    listPublishers(folder)
      .filter((role) => folder.has(role))
      .flatMap((role) => Object.keys(folder.read(role, "targets").signed.targets)),
  );
}

function fetchFrom(client: Client) {
  return async (url: string) => {
    const { pathname } = new URL(url);
    const text = await client.trust.readDocument(pathname.slice(1).split("/").map(decodeURIComponent));
    return text === null
      ? ({ kind: "absent", status: 404 } as const)
      : ({ kind: "bytes", bytes: Buffer.from(text) } as const);
  };
}

interface Verifying {
  readonly root: string;
  readonly nowMs: () => number;
}

/** Runs the devices' updater against the plane, from a root that is trusted here. */
async function withUpdater<Result>(
  client: Client,
  { root, nowMs }: Verifying,
  run: (updater: Awaited<ReturnType<typeof openUpdater>>, folder: string) => Promise<Result>,
): Promise<Result> {
  const scratch = mkdtempSync(join(tmpdir(), "fairlead-verify-"));
  const folder = join(scratch, "metadata");
  try {
    await initializeTrust(folder, Buffer.from(root));
    const updater = await openUpdater({
      folder,
      metadataUrl: "https://plane.invalid/metadata/",
      fetch: fetchFrom(client),
      nowMs,
    });
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

/** Is this release what a device would take? @throws CliError `trust_refused` */
export async function verifyRelease(client: Client, release: Release, trusted: Verifying): Promise<string> {
  const { path, sha256 } = toReleaseTarget(release);
  return await withUpdater(client, trusted, async (updater, scratch) => {
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

/** Brings documents that others published, after checking them from the folder's own root, or the plane's first. */
export async function pullFolder(client: Client, folder: TrustFolder, nowMs: () => number): Promise<number> {
  const first = folder.documents().get("1.root.json") ?? (await client.trust.readDocument(["metadata", "1.root.json"]));
  if (first === null)
    throw new CliError("trust_missing", "the plane has no repository yet", { hint: "fairlead trust create --publish" });
  await withUpdater(client, { root: first, nowMs }, (updater) => updater.refresh());
  const { roles } = await client.trust.state();
  const own = folder.versions();
  let brought = 0;
  for (const [role, { version }] of Object.entries(roles)) {
    if (role === "snapshot" || role === "timestamp") continue;
    for (let number = role === "root" ? (own.get(role) ?? 0) + 1 : version; number <= version; number += 1) {
      if ((own.get(role) ?? 0) >= number) continue;
      const name = toFileName(role, number);
      const text = await client.trust.readDocument(["metadata", name]);
      if (text === null) continue;
      folder.saveText(name, text);
      brought += 1;
    }
  }
  return brought;
}
