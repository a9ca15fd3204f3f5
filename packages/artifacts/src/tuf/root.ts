import { Root, type Key } from "@tufjs/models";
import { specVersion, toExpires } from "./metadata.ts";

export interface RoleKeys {
  readonly keys: readonly Key[];
  readonly threshold: number;
}

const roles = ["root", "targets", "snapshot", "timestamp"] as const;
/** Which keys may speak for the four roles, and how many of them must. */
export type RootSpec = Readonly<Record<(typeof roles)[number], RoleKeys>>;

/** @throws when a threshold is out of range: nobody could ever sign for the role */
export function createRoot(
  spec: RootSpec,
  { version, expiresAtMs }: { readonly version: number; readonly expiresAtMs: number },
): Root {
  const root = new Root({ version, specVersion, expires: toExpires(expiresAtMs), consistentSnapshot: true });
  for (const name of roles) {
    const { keys, threshold } = spec[name];
    const distinct = new Map(keys.map((key) => [key.keyID, key]));
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > distinct.size)
      throw new RangeError(`${name}: a threshold of ${threshold} with ${distinct.size} keys`);
    for (const key of distinct.values()) root.addKey(key, name);
    const role = root.roles[name];
    if (role === undefined) throw new RangeError(`${name} is no role`);
    // The library fixes the threshold when it makes a role; there is one way to state another.
    Object.assign(role, { threshold });
  }
  return root;
}

export function toRootSpec(root: Root): RootSpec {
  const read = (name: (typeof roles)[number]): RoleKeys => {
    const role = root.roles[name];
    const keys = (role?.keyIDs ?? []).flatMap((keyId) => root.keys[keyId] ?? []);
    return { keys, threshold: role?.threshold ?? 1 };
  };
  return { root: read("root"), targets: read("targets"), snapshot: read("snapshot"), timestamp: read("timestamp") };
}
