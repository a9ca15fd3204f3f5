import {
  createSnapshot,
  createTimestamp,
  signMetadata,
  toFileName,
  toMetadataText,
  type MetadataFile,
} from "@fairlead/artifacts/tuf";
import type { OnlineKeys } from "./online-keys.ts";
import { refuseMetadata, type Repository } from "./repository.ts";

const dayMs = 86_400_000;
/** A snapshot that nothing follows may be trusted this long. */
const snapshotLifeMs = 30 * dayMs;

export interface FreshnessOptions {
  readonly keys: OnlineKeys;
  readonly nowMs: number;
  /** How long a device may believe that what it knows is the newest. */
  readonly timestampLifeMs: number;
}

function selectSigners(repository: Repository, keys: OnlineKeys, role: "snapshot" | "timestamp") {
  const { keyIDs = [], threshold = 1 } = repository.root.signed.roles[role] ?? {};
  const own = keys.all.filter(({ key }) => keyIDs.includes(key.keyID));
  if (own.length < threshold)
    refuseMetadata(
      `the root names ${keyIDs.length} keys for the ${role} role, and this plane holds ${own.length} of them`,
    );
  return own;
}

/** What the plane itself says: which documents belong together, and that nothing is newer. */
export async function signOnlineRoles(
  repository: Repository,
  before: { readonly snapshot: number; readonly timestamp: number },
  options: FreshnessOptions,
): Promise<{ readonly snapshot: MetadataFile; readonly timestamp: MetadataFile }> {
  const { keys, nowMs, timestampLifeMs } = options;
  const snapshotVersion = before.snapshot + 1;
  const signedSnapshot = await signMetadata(
    createSnapshot(repository.signed, { version: snapshotVersion, expiresAtMs: nowMs + snapshotLifeMs }),
    selectSigners(repository, keys, "snapshot"),
  );
  const snapshot = { role: "snapshot", version: snapshotVersion, text: toMetadataText(signedSnapshot) };
  const version = before.timestamp + 1;
  const signedTimestamp = await signMetadata(
    createTimestamp(snapshot, { version, expiresAtMs: nowMs + timestampLifeMs }),
    selectSigners(repository, keys, "timestamp"),
  );
  return { snapshot, timestamp: { role: "timestamp", version, text: toMetadataText(signedTimestamp) } };
}

export function toServedName({ role, version }: MetadataFile): string {
  return role === "timestamp" ? "timestamp.json" : toFileName(role, version);
}
