import type { Release } from "@fairlead/protocol";
import { createHash } from "node:crypto";
import { toCanonicalJson } from "../canonical.ts";

/** What a publisher vouches for: these bytes, under this path. */
export interface ReleaseTarget {
  readonly path: string;
  readonly lengthBytes: number;
  readonly sha256: string;
}

/** `<model>/<version>/<release id>.json`: delegations are by model name, and no two releases share a path. */
export function toReleaseTargetPath(release: {
  readonly releaseId: string;
  readonly content: Pick<Release["content"], "model" | "version">;
}): string {
  const { model, version } = release.content;
  return `${model}/${version}/${release.releaseId}.json`;
}

/** The canonical form (RFC 8785): it names digest and length of every file that the release consists of. */
export function toReleaseBytes(release: Release): Buffer {
  return Buffer.from(toCanonicalJson(release), "utf8");
}

export function toReleaseTarget(release: Release): ReleaseTarget {
  const bytes = toReleaseBytes(release);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path: toReleaseTargetPath(release), lengthBytes: bytes.length, sha256 };
}
