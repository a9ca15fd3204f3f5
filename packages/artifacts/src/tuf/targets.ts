import { CodedError } from "@fairlead/kernel";
import { TargetFile, Targets, type Key } from "@tufjs/models";
import { specVersion, toExpires } from "./metadata.ts";
import type { ReleaseTarget } from "./release-target.ts";

interface Next {
  readonly version: number;
  readonly expiresAtMs: number;
}

/** Who may release which models. */
export interface Delegation {
  readonly role: string;
  readonly keys: readonly Key[];
  readonly threshold: number;
  /** Model names; `*` stands for any part of one. */
  readonly models: readonly string[];
}

type Json = ReturnType<Targets["toJSON"]>;

const reserved = new Set(["root", "targets", "snapshot", "timestamp"]);

export function createTargets(next: Next): Targets {
  return new Targets({ version: next.version, specVersion, expires: toExpires(next.expiresAtMs), targets: {} });
}

/** A copy one version on; metadata that was signed is never changed in place. */
function toNext(before: Targets, expiresAtMs: number): Json {
  return { ...structuredClone(before.toJSON()), version: before.version + 1, expires: toExpires(expiresAtMs) };
}

/** The same said again, one version on. */
export function renewTargets(before: Targets, expiresAtMs: number): Targets {
  return Targets.fromJSON(toNext(before, expiresAtMs));
}

/** A publisher's next document, or its first one. */
export function addRelease(before: Targets | null, target: ReleaseTarget, expiresAtMs: number): Targets {
  const next = before === null ? createTargets({ version: 1, expiresAtMs }) : renewTargets(before, expiresAtMs);
  const { path, lengthBytes: length, sha256 } = target;
  next.addTarget(new TargetFile({ path, length, hashes: { sha256 } }));
  return next;
}

/** A publisher's next document without these paths: nobody may take them anew, and who runs them keeps them. */
export function removeReleases(before: Targets, paths: readonly string[], expiresAtMs: number): Targets {
  const json = toNext(before, expiresAtMs);
  const left = new Set(paths);
  const kept = Object.entries(before.toJSON()["targets"] as Record<string, unknown>).filter(
    ([path]) => !left.has(path),
  );
  return Targets.fromJSON({ ...json, targets: Object.fromEntries(kept) } as Json);
}

export function listDelegations(targets: Targets): readonly Delegation[] {
  const { delegations } = targets;
  return Object.values(delegations?.roles ?? {}).map(({ name, keyIDs, threshold, paths }) => ({
    role: name,
    keys: keyIDs.flatMap((keyId) => delegations?.keys[keyId] ?? []),
    threshold,
    models: (paths ?? []).map((path) => path.replace(/\/\*\/\*$/u, "")),
  }));
}

/** May this publisher vouch for this path? */
export function mayRelease(targets: Targets, role: string, path: string): boolean {
  return targets.delegations?.roles?.[role]?.isDelegatedPath(path) === true;
}

function setDelegations(before: Targets, list: readonly Delegation[], expiresAtMs: number): Targets {
  const keys = Object.fromEntries(list.flatMap((entry) => entry.keys.map((key) => [key.keyID, key.toJSON()])));
  const roles = list.map(({ role: name, keys: own, threshold, models }) => ({
    name,
    keyids: own.map((key) => key.keyID),
    threshold,
    // Several publishers may speak for one model; what one says ends nothing for the others.
    terminating: false,
    paths: models.map((model) => `${model}/*/*`),
  }));
  const json = toNext(before, expiresAtMs);
  delete json["delegations"];
  return Targets.fromJSON(list.length === 0 ? json : { ...json, delegations: { keys, roles } });
}

/** Adds the publisher, or replaces what was delegated to it. @throws CodedError `delegation_invalid` */
export function addDelegation(before: Targets, delegation: Delegation, expiresAtMs: number): Targets {
  const { role, keys, threshold, models } = delegation;
  const distinct = new Set(keys.map((key) => key.keyID)).size;
  const hint = "fairlead trust delegate PUBLISHER --key NAME --models 'vision-*'";
  if (!/^[a-z0-9][a-z0-9-]{0,40}$/u.test(role) || reserved.has(role))
    throw new CodedError("delegation_invalid", `"${role}" cannot be the name of a publisher`, { hint });
  if (!(Number.isInteger(threshold) && threshold >= 1 && threshold <= distinct))
    throw new CodedError("delegation_invalid", `a threshold of ${threshold} with ${distinct} keys`, { hint });
  if (models.length === 0 || models.some((model) => !/^[a-z0-9*?][a-z0-9*?._-]{0,62}$/u.test(model)))
    throw new CodedError("delegation_invalid", `"${models.join(", ")}" are no patterns of model names`, { hint });
  const others = listDelegations(before).filter((entry) => entry.role !== role);
  return setDelegations(before, [...others, delegation], expiresAtMs);
}

/** @throws CodedError `delegation_invalid` when there is no such publisher */
export function removeDelegation(before: Targets, role: string, expiresAtMs: number): Targets {
  const list = listDelegations(before);
  if (!list.some((entry) => entry.role === role))
    throw new CodedError("delegation_invalid", `there is no publisher "${role}"`, { hint: "fairlead trust view" });
  return setDelegations(
    before,
    list.filter((entry) => entry.role !== role),
    expiresAtMs,
  );
}
