import {
  addDelegation,
  addRelease,
  listDelegations,
  mayRelease,
  removeDelegation,
  removeReleases,
  renewTargets,
  signMetadata,
  toReleaseTarget,
  toRootSpec,
  type Delegation,
  type MetadataByKind,
} from "@fairlead/artifacts/tuf";
import type { Release } from "@fairlead/protocol";
import { CliError } from "../errors.ts";
import { readPublicKey, toKeyId } from "./key-file.ts";
import { openSigners, type Workplace } from "./workplace.ts";

const dayMs = 86_400_000;
const targetsLifeMs = 365 * dayMs;
const publisherLifeMs = 180 * dayMs;

type Targets = MetadataByKind["targets"]["signed"];

async function saveTargets(workplace: Workplace, next: Targets): Promise<void> {
  const { keys, threshold } = toRootSpec(workplace.folder.read("root", "root").signed).targets;
  const role = { name: "targets", keyIds: keys.map((key) => key.keyID), threshold };
  workplace.folder.save("targets", await signMetadata(next, await openSigners(workplace, role)));
}

/** Lets a publisher release models whose names fit, or changes its keys; what it signed is signed anew by the new keys. */
export async function saveDelegation(workplace: Workplace, delegation: Delegation): Promise<void> {
  const { folder, nowMs } = workplace;
  const before = folder.read("targets", "targets").signed;
  const next = addDelegation(before, delegation, nowMs + targetsLifeMs);
  const isKnown = listDelegations(before).some(({ role }) => role === delegation.role);
  const resigned = isKnown && folder.has(delegation.role) ? await resign(workplace, delegation) : null;
  await saveTargets(workplace, next);
  if (resigned !== null) folder.save(delegation.role, resigned);
}

async function resign(workplace: Workplace, delegation: Delegation): Promise<MetadataByKind["targets"]> {
  const { signed } = workplace.folder.read(delegation.role, "targets");
  const again = renewTargets(signed, workplace.nowMs + publisherLifeMs);
  return await signMetadata(again, await openSigners(workplace, toSigning(delegation)));
}

const toSigning = ({ role, keys, threshold }: Delegation) => ({
  name: role,
  keyIds: keys.map((key) => key.keyID),
  threshold,
});

export interface RotatePublisherOptions {
  readonly add: readonly string[];
  /** Names of key files, or key ids where the key is lost. */
  readonly remove: readonly string[];
  readonly threshold: number | null;
}

/** Other keys for a publisher. Keys that lie elsewhere count on as long as nobody removes them. */
export async function rotatePublisher(
  workplace: Workplace,
  role: string,
  { add, remove, threshold }: RotatePublisherOptions,
): Promise<Delegation> {
  const before = requirePublisher(workplace, role);
  const removed = new Set(remove.map((name) => toKeyId(workplace.keys, name)));
  const kept = before.keys.filter(({ keyID }) => !removed.has(keyID));
  const added = add.map((name) => readPublicKey(workplace.keys, name));
  const next = { ...before, keys: [...kept, ...added], threshold: threshold ?? before.threshold };
  await saveDelegation(workplace, next);
  return next;
}

/** Ends a publisher: nothing that it ever signed may be installed anew. */
export async function revokePublisher(workplace: Workplace, role: string): Promise<void> {
  const before = workplace.folder.read("targets", "targets").signed;
  await saveTargets(workplace, removeDelegation(before, role, workplace.nowMs + targetsLifeMs));
}

export function requirePublisher(workplace: Workplace, role: string): Delegation {
  const delegation = listDelegations(workplace.folder.read("targets", "targets").signed).find(
    (one) => one.role === role,
  );
  if (delegation !== undefined) return delegation;
  throw new CliError("trust_refused", `"${role}" is no publisher of this repository`, {
    hint: "fairlead trust view lists them; fairlead trust delegate adds one",
  });
}

/** `<model>/<version>/<release id>.json`: ids are in the order of time. */
const toReleaseId = (path: string): string => path.slice(path.lastIndexOf("/") + 1, -".json".length);

/**
 * Leaves out all but the newest releases of a publisher, and those that somebody uses.
 * @returns paths that are left out
 */
export async function pruneReleases(
  workplace: Workplace,
  role: string,
  { keep, inUse }: { readonly keep: number; readonly inUse: ReadonlySet<string> },
): Promise<string[]> {
  const { folder, nowMs } = workplace;
  const delegation = requirePublisher(workplace, role);
  const before = folder.read(role, "targets").signed;
  const newestFirst = Object.keys(before.targets).toSorted((left, right) =>
    toReleaseId(left) < toReleaseId(right) ? 1 : -1,
  );
  const left = newestFirst.slice(keep).filter((path) => !inUse.has(toReleaseId(path)));
  if (left.length === 0) return left;
  const next = removeReleases(before, left, nowMs + publisherLifeMs);
  folder.save(role, await signMetadata(next, await openSigners(workplace, toSigning(delegation))));
  return left;
}

/**
 * Whether the publisher's keys are here and open, asked before anything is done. A folder that has no targets yet gets them
 * from the plane before it signs.
 */
export async function tryToSign(workplace: Workplace, role: string): Promise<void> {
  if (workplace.folder.has("targets")) await openSigners(workplace, toSigning(requirePublisher(workplace, role)));
}

/** The publisher's word for one release. */
export async function signReleaseAs(workplace: Workplace, role: string, release: Release): Promise<void> {
  const { folder, nowMs } = workplace;
  const delegation = requirePublisher(workplace, role);
  const target = toReleaseTarget(release);
  if (!mayRelease(folder.read("targets", "targets").signed, role, target.path))
    throw new CliError(
      "trust_refused",
      `${role} may release ${delegation.models.join(", ")}, not ${release.content.model}`,
      {
        hint: "sign --as another publisher; fairlead trust view lists them",
      },
    );
  const before = folder.has(role) ? folder.read(role, "targets").signed : null;
  const next = addRelease(before, target, nowMs + publisherLifeMs);
  folder.save(role, await signMetadata(next, await openSigners(workplace, toSigning(delegation))));
  folder.saveRelease(release);
}
