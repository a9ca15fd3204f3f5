import { judgeReleaseTime } from "@fairlead/artifacts";
import {
  listDelegations,
  mayRelease,
  parseMetadata,
  toFileName,
  toReleaseTarget,
  type MetadataByKind,
} from "@fairlead/artifacts/tuf";
import type { HttpErrorCode, Release } from "@fairlead/protocol";
import type { Repositories } from "@fairlead/store";

/** Why a device that is up to date would not take a release. */
export interface Withdrawal {
  readonly code: HttpErrorCode;
  readonly reason: string;
}

export type Targets = MetadataByKind["targets"];

/** Newest documents by role; `targets` and the publishers that it names. */
export type TargetsByRole = ReadonlyMap<string, Targets>;

/**
 * What a device that is up to date would say of a release: null when some publisher who may do so vouches for it now.
 * Signatures were checked when the documents were published; a publisher's is checked again, since the keys that
 * `targets` names may have changed after it.
 */
export function judgeRelease(documents: TargetsByRole, release: Release, nowMs: number): Withdrawal | null {
  const late = judgeReleaseTime(release, { nowMs, maxSkewMs: 0 });
  if (late !== null)
    return { code: late.code === "not_yet_valid" ? "release_not_yet_valid" : "release_expired", reason: late.reason };
  const { path, sha256, lengthBytes } = toReleaseTarget(release);
  const targets = documents.get("targets");
  const refuse = (why: string): Withdrawal => ({ code: "release_not_vouched", reason: `${path}: ${why}` });
  if (targets === undefined) return refuse("the plane has no targets document");
  // Written so that NaN refuses.
  const isOver = ({ signed }: Targets): boolean => !(nowMs < Date.parse(signed.expires));
  if (isOver(targets)) return refuse(`the targets document ended at ${targets.signed.expires}`);
  for (const { role } of listDelegations(targets.signed)) {
    const publisher = documents.get(role);
    if (publisher === undefined || !mayRelease(targets.signed, role, path)) continue;
    const target = publisher.signed.targets[path];
    if (target === undefined) continue;
    if (target.hashes["sha256"] !== sha256 || target.length !== lengthBytes)
      return refuse(`${role} vouches for another document of that name`);
    if (isOver(publisher)) return refuse(`the document of ${role} ended at ${publisher.signed.expires}`);
    if (!isSigned(targets, role, publisher)) return refuse(`the document of ${role} is not signed by its present keys`);
    return null;
  }
  return refuse("no publisher who may release it vouches for it any more");
}

function isSigned(targets: Targets, role: string, publisher: Targets): boolean {
  try {
    targets.verifyDelegate(role, publisher);
    return true;
  } catch {
    return false;
  }
}

export interface Vouching {
  /** Null when devices would take it. */
  judge(from: Repositories, release: Release, nowMs: number): Promise<Withdrawal | null>;
}

/** Documents are parsed once per version: a rollout asks twice a second. */
export function createVouching(): Vouching {
  let parsed = new Map<string, Targets>();
  const load = async (from: Repositories): Promise<TargetsByRole> => {
    const newest = new Map<string, number>();
    for (const { role, version } of await from.trustMetadata.listNames())
      newest.set(role, Math.max(version, newest.get(role) ?? 0));
    const kept = new Map<string, Targets>();
    const read = async (role: string): Promise<Targets | undefined> => {
      const version = newest.get(role);
      if (version === undefined) return undefined;
      const name = toFileName(role, version);
      const text = parsed.has(name) ? "" : ((await from.trustMetadata.get(name))?.text ?? "");
      const document = parsed.get(name) ?? parseMetadata("targets", text);
      kept.set(name, document);
      return document;
    };
    const documents = new Map<string, Targets>();
    const targets = await read("targets");
    if (targets !== undefined) documents.set("targets", targets);
    for (const { role } of targets === undefined ? [] : listDelegations(targets.signed)) {
      const publisher = await read(role);
      if (publisher !== undefined) documents.set(role, publisher);
    }
    parsed = kept;
    return documents;
  };
  return { judge: async (from, release, nowMs) => judgeRelease(await load(from), release, nowMs) };
}
