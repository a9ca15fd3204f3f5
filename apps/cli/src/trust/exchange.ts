import { listDelegations, toFileName, toReleaseTargetPath } from "@fairlead/artifacts/tuf";
import type { Client } from "@fairlead/client";
import type { Publication, Release, TrustState } from "@fairlead/protocol";
import type { FetchResource } from "@fairlead/updater";
import { CliError } from "../errors.ts";
import { checkRelease, withUpdater } from "./as-device.ts";
import type { TrustFolder } from "./trust-folder.ts";

/** As many as one publication may hold. */
const maxReleases = 64;

/**
 * Sends what the plane does not have yet. The plane checks it as a device would.
 * @throws CliError `trust_diverged` when what was signed here does not follow what the plane has
 */
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
  const spoken: Release[] = [];
  const vouching = new Set<string>();
  for (const release of folder.releases()) {
    const role = known.has(release.releaseId) ? undefined : vouched.get(toReleaseTargetPath(release));
    if (role === undefined) continue;
    spoken.push(release);
    vouching.add(role);
  }
  const own = folder.versions();
  for (const role of speaking) {
    const version = roles[role]?.version ?? 0;
    const here = own.get(role) ?? 0;
    const matters = here > version || (here === version && vouching.has(role));
    if (version > 0 && matters && !(await isSame(client, folder, toFileName(role, version))))
      refuseDiverged(role, version);
  }
  let answer = await client.trust.publish({ documents, releases: spoken.slice(0, maxReleases) });
  for (let from = maxReleases; from < spoken.length; from += maxReleases) {
    const more = await client.trust.publish({ documents: {}, releases: spoken.slice(from, from + maxReleases) });
    answer = { roles: more.roles, releases: [...answer.releases, ...more.releases] };
  }
  return answer;
}

/** Is the plane's document the one that lies here, byte by byte? One that the plane has left behind is not asked about. */
async function isSame(client: Client, folder: TrustFolder, name: string): Promise<boolean> {
  const theirs = await client.trust.readDocument(["metadata", name]);
  return theirs === null || theirs === folder.documents().get(name);
}

function refuseDiverged(role: string, version: number): never {
  throw new CliError(
    "trust_diverged",
    `what was signed here for ${role} does not follow version ${version}, which others published`,
    { hint: "fairlead trust pull --replace brings theirs in its place; then sign again" },
  );
}

function listPublishers(folder: TrustFolder): string[] {
  return listDelegations(folder.read("targets", "targets").signed).map(({ role }) => role);
}

/** Paths for which a publisher of the present targets document speaks, and who it is. */
function listVouched(folder: TrustFolder): Map<string, string> {
  const speaking = listPublishers(folder).filter((role) => folder.has(role));
  return new Map(
    speaking.flatMap((role) =>
      Object.keys(folder.read(role, "targets").signed.targets).map((path): [string, string] => [path, role]),
    ),
  );
}

function fetchFrom(client: Client): FetchResource {
  return async (url) => {
    const { pathname } = new URL(url);
    const text = await client.trust.readDocument(pathname.slice(1).split("/").map(decodeURIComponent));
    return text === null ? { kind: "absent", status: 404 } : { kind: "bytes", bytes: Buffer.from(text) };
  };
}

/** Is this release what a device would take from the plane? @throws CliError `trust_refused` */
export async function verifyRelease(
  client: Client,
  release: Release,
  trusted: { readonly root: string; readonly nowMs: () => number },
): Promise<string> {
  return await checkRelease(release, { ...trusted, fetch: fetchFrom(client) });
}

interface PullOptions {
  readonly nowMs: () => number;
  /** Documents that were signed here and do not follow the plane's are taken away. */
  readonly replace?: boolean;
}

/**
 * Brings documents that others published, after checking them from the folder's own root, or the plane's first.
 * @returns how many
 * @throws CliError `trust_refused` · `trust_missing` · `trust_diverged`
 */
export async function pullFolder(client: Client, folder: TrustFolder, options: PullOptions): Promise<number> {
  const first = folder.documents().get("1.root.json") ?? (await client.trust.readDocument(["metadata", "1.root.json"]));
  if (first === null)
    throw new CliError("trust_missing", "the plane has no repository yet", { hint: "fairlead trust create --publish" });
  await withUpdater({ root: first, nowMs: options.nowMs, fetch: fetchFrom(client) }, (updater) => updater.refresh());
  const { roles } = await client.trust.state();
  let brought = 0;
  for (const [role, { version }] of Object.entries(roles))
    if (role !== "snapshot" && role !== "timestamp")
      brought += await pullRole(client, folder, { role, version, replace: options.replace === true });
  return brought;
}

interface PullRole {
  readonly role: string;
  readonly version: TrustState["roles"][string]["version"];
  readonly replace: boolean;
}

async function pullRole(client: Client, folder: TrustFolder, { role, version, replace }: PullRole): Promise<number> {
  const isChain = role === "root";
  if ((folder.versions().get(role) ?? 0) >= version && !(await isSame(client, folder, toFileName(role, version)))) {
    if (!replace) refuseDiverged(role, version);
    // Of roots the whole chain counts; the first one is what is trusted.
    folder.drop(role, isChain ? 2 : version);
  }
  const own = folder.versions().get(role) ?? 0;
  let brought = 0;
  for (let number = isChain ? own + 1 : Math.max(version, own + 1); number <= version; number += 1) {
    const name = toFileName(role, number);
    const text = await client.trust.readDocument(["metadata", name]);
    if (text === null) continue;
    folder.saveText(name, text);
    brought += 1;
  }
  return brought;
}
