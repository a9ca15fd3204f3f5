import { MetaFile, Snapshot, Timestamp } from "@tufjs/models";
import { createHash } from "node:crypto";
import { specVersion, toExpires } from "./metadata.ts";

/** One role's newest document, as it is served. */
export interface MetadataFile {
  readonly role: string;
  readonly version: number;
  readonly text: string;
}

interface Next {
  readonly version: number;
  readonly expiresAtMs: number;
}

function toMeta({ version, text }: MetadataFile): MetaFile {
  const bytes = Buffer.from(text, "utf8");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return new MetaFile({ version, length: bytes.length, hashes: { sha256 } });
}

/** Which versions of the publishers' documents belong together: no two days can be mixed. */
export function createSnapshot(files: readonly MetadataFile[], next: Next): Snapshot {
  const meta = Object.fromEntries(files.map((file) => [`${file.role}.json`, toMeta(file)]));
  return new Snapshot({ version: next.version, specVersion, expires: toExpires(next.expiresAtMs), meta });
}

/** What is newest, said for a short time only: nobody can hold a device back for longer. */
export function createTimestamp(snapshot: MetadataFile, next: Next): Timestamp {
  const expires = toExpires(next.expiresAtMs);
  return new Timestamp({ version: next.version, specVersion, expires, snapshotMeta: toMeta(snapshot) });
}
