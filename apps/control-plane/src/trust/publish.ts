import { toCanonicalJson } from "@fairlead/artifacts";
import { parseMetadata, toReleaseTarget, type MetadataFile } from "@fairlead/artifacts/tuf";
import { CodedError } from "@fairlead/kernel";
import type { HttpErrorCode, Publication, Release } from "@fairlead/protocol";
import type { Transaction, TrustMetadataRow } from "@fairlead/store";
import type { Asker, PlaneContext } from "../context.ts";
import { signOnlineRoles, toServedName } from "./freshness.ts";
import type { OnlineKeys } from "./online-keys.ts";
import { keptSnapshots, listUnreachable } from "./prune.ts";
import { readRepository, refuseMetadata } from "./repository.ts";
import { toServed, tryAsDevice } from "./try-as-device.ts";

export interface TrustContext extends Pick<PlaneContext, "audit" | "clock" | "store" | "stream" | "tenant"> {
  readonly keys: OnlineKeys;
  readonly timestampLifeMs: number;
}

export interface PublishRequest extends Asker {
  readonly documents: Readonly<Record<string, string>>;
  readonly releases: readonly Release[];
}

const online = new Set(["snapshot", "timestamp"]);

function parseFile(name: string, text: string): MetadataFile {
  const match = /^(?<version>\d+)\.(?<role>.+)\.json$/u.exec(name);
  const role = match?.groups?.["role"] ?? "";
  const version = Number(match?.groups?.["version"]);
  if (online.has(role)) refuseMetadata(`${name}: the plane writes the ${role} role itself`);
  const { signed } = parseMetadata(role === "root" ? "root" : "targets", text);
  if (signed.version !== version) refuseMetadata(`${name} says that it is version ${signed.version}`);
  return { role, version, text };
}

const toFile = ({ role, version, text }: TrustMetadataRow): MetadataFile => ({ role, version, text });

async function requireNew(tx: Transaction, file: MetadataFile, newest: number): Promise<boolean> {
  const before = await tx.trustMetadata.get(toServedName(file));
  if (before?.text === file.text) return false;
  // A version that was left behind may be gone here; whoever offers it now offers the past.
  if (before === undefined && file.version > newest) return true;
  const what = before === undefined ? `follows version ${newest}, which is newer` : "was published before, and differs";
  throw new CodedError<HttpErrorCode>("metadata_conflict", `${toServedName(file)} ${what}`, {
    hint: "somebody else published; run: fairlead trust pull, and sign again",
  });
}

async function requireRegistered(tx: Transaction, tenant: string, release: Release): Promise<void> {
  const { model, version } = release.content;
  if (release.tenant !== tenant) refuseMetadata(`${release.releaseId} is for tenant ${release.tenant}`);
  const registered = await tx.modelVersions.get(model, version);
  if (registered === undefined)
    throw new CodedError<HttpErrorCode>("not_found", `${model}@${version} is not registered`, {
      hint: `register it first: fairlead models push FILE --model ${model} --version ${version}`,
    });
  if (toCanonicalJson(registered.content) !== toCanonicalJson(release.content))
    refuseMetadata(`${release.releaseId} is not what is registered as ${model} ${version}`);
}

/** Newest wins; of two roots the chain matters, so that every one of them is served. */
function toNewest(files: readonly MetadataFile[]): Map<string, MetadataFile> {
  const newest = new Map<string, MetadataFile>();
  for (const file of files) if (file.version > (newest.get(file.role)?.version ?? 0)) newest.set(file.role, file);
  return newest;
}

async function save(
  tx: Transaction,
  files: readonly MetadataFile[],
  stamp: { readonly nowMs: number; readonly actor: string },
) {
  for (const file of files) {
    const row = { ...file, name: toServedName(file), createdAtMs: stamp.nowMs, createdBy: stamp.actor };
    await (file.role === "timestamp" ? tx.trustMetadata.replace(row) : tx.trustMetadata.add(row));
  }
}

/**
 * Takes documents that were signed elsewhere. The plane holds none of their keys: it checks them as a device would, says
 * with its own keys that they are the newest, and keeps all of it in one transaction with the releases.
 * @throws CodedError `metadata_refused` · `metadata_conflict` · `not_found`
 */
export async function publish(context: TrustContext, request: PublishRequest): Promise<Publication> {
  const { documents, releases, actor, from } = request;
  const nowMs = context.clock.nowMs();
  const offered = Object.entries(documents).map(([name, text]) => parseFile(name, text));
  return await context.store.transaction(async (tx) => {
    const present = (await tx.trustMetadata.listNewest()).map(toFile);
    const added: MetadataFile[] = [];
    const before = toNewest(present);
    for (const file of offered) if (await requireNew(tx, file, before.get(file.role)?.version ?? 0)) added.push(file);
    for (const release of releases) await requireRegistered(tx, context.tenant, release);
    const firstRoot = offered.filter(({ role }) => role === "root").toSorted((a, b) => a.version - b.version)[0];
    const after = toNewest([...present, ...added]);
    const repository = readRepository(after);
    const versions = {
      snapshot: before.get("snapshot")?.version ?? 0,
      timestamp: before.get("timestamp")?.version ?? 0,
    };
    const { keys, timestampLifeMs } = context;
    const fresh = await signOnlineRoles(repository, versions, { keys, nowMs, timestampLifeMs });
    const trusted = before.has("root") ? present : firstRoot === undefined ? [] : [firstRoot];
    const written = [...added, fresh.snapshot, fresh.timestamp];
    await tryAsDevice({ trusted, served: toServed([...present, ...written]), releases, nowMs });
    await save(tx, written, { nowMs, actor });
    await prune(tx);
    for (const release of releases) await addRelease(context, tx, { release, actor, from });
    const roles = Object.fromEntries(
      [...toNewest([...repository.signed, ...written])].map(([role, file]) => [role, file.version]),
    );
    const was = Object.fromEntries([...before].map(([role, file]) => [role, file.version]));
    await context.audit.append(tx, {
      ...{ actor, from, action: "trust.publish", subject: "trust", reason: "published" },
      change: { before: was, after: roles },
      details: { documents: added.map(toServedName) },
    });
    return { roles, releases: releases.map(({ releaseId }) => releaseId) };
  });
}

async function prune(tx: Transaction): Promise<void> {
  const served = await tx.trustMetadata.listNames();
  const snapshots = served.filter(({ role }) => role === "snapshot").toSorted((a, b) => b.version - a.version);
  const texts: string[] = [];
  for (const { name } of snapshots.slice(0, keptSnapshots)) texts.push((await tx.trustMetadata.get(name))?.text ?? "");
  await tx.trustMetadata.remove(listUnreachable(served, texts));
}

async function addRelease(
  context: TrustContext,
  tx: Transaction,
  { release, actor, from }: Asker & { readonly release: Release },
): Promise<void> {
  const { releaseId, issuedAtMs: createdAtMs, expiresAtMs, content } = release;
  const { model, version } = content;
  if ((await tx.releases.get(releaseId)) !== undefined) return;
  await tx.releases.add({
    releaseId,
    model,
    version,
    document: { signed: release },
    createdAtMs,
    expiresAtMs,
    createdBy: actor,
  });
  const { sha256, path } = toReleaseTarget(release);
  await context.audit.append(tx, {
    ...{ actor, from, action: "release.publish", subject: `${model}@${version}`, reason: "published" },
    change: { before: null, after: { releaseId, expiresAtMs, target: path, sha256 } },
  });
  await context.stream.emit(tx, "model", `${model}@${version}`);
}
