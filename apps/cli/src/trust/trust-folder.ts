import { parseMetadata, toFileName, toMetadataText, type MetadataByKind } from "@fairlead/artifacts/tuf";
import { hasErrorCode } from "@fairlead/kernel";
import { releaseSchema, type Release } from "@fairlead/protocol";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../errors.ts";
import { replaceFile } from "../replace-file.ts";

const filePattern = /^(?<version>[1-9]\d{0,8})\.(?<role>[a-z0-9][a-z0-9-]{0,40})\.json$/u;

export type FolderState = Readonly<Record<"metadata" | "releases", ReadonlySet<string>>>;

/**
 * The publishers' side of the repository: every document that was signed, and the releases that they vouch for. Nothing in
 * it is secret, so it can be kept in version control; no server is needed to read or to sign.
 */
export class TrustFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  #list(folder: "metadata" | "releases"): string[] {
    try {
      return readdirSync(join(this.path, folder));
    } catch (error) {
      if (hasErrorCode(error, "ENOENT")) return [];
      throw error;
    }
  }

  /** Newest version of each role. */
  versions(): Map<string, number> {
    const newest = new Map<string, number>();
    for (const name of this.#list("metadata")) {
      const { role = "", version = "0" } = filePattern.exec(name)?.groups ?? {};
      if (role !== "") newest.set(role, Math.max(newest.get(role) ?? 0, Number(version)));
    }
    return newest;
  }

  documents(): Map<string, string> {
    const names = this.#list("metadata").filter((name) => filePattern.test(name));
    return new Map(names.map((name) => [name, readFileSync(join(this.path, "metadata", name), "utf8")]));
  }

  has(role: string): boolean {
    return this.versions().has(role);
  }

  /** @throws CliError `trust_missing` */
  read<Kind extends "root" | "targets">(role: string, kind: Kind): MetadataByKind[Kind] {
    const version = this.versions().get(role);
    if (version === undefined)
      throw new CliError("trust_missing", `${this.path} holds no ${role} document`, {
        hint: "fairlead trust create makes a repository; fairlead trust pull brings one that was published",
      });
    return parseMetadata(kind, readFileSync(join(this.path, "metadata", toFileName(role, version)), "utf8"));
  }

  save(role: string, metadata: MetadataByKind["root"] | MetadataByKind["targets"]): void {
    this.saveText(toFileName(role, metadata.signed.version), toMetadataText(metadata));
  }

  saveText(name: string, text: string): void {
    mkdirSync(join(this.path, "metadata"), { recursive: true });
    replaceFile(join(this.path, "metadata", name), text);
  }

  saveRelease(release: Release): void {
    mkdirSync(join(this.path, "releases"), { recursive: true });
    replaceFile(join(this.path, "releases", `${release.releaseId}.json`), `${JSON.stringify(release, null, 1)}\n`);
  }

  /** Names of all that lies here; documents are never changed once they were written, so names are enough. */
  toState(): FolderState {
    return { metadata: new Set(this.#list("metadata")), releases: new Set(this.#list("releases")) };
  }

  /** Takes away what was written since. */
  restore(before: FolderState): void {
    for (const folder of ["metadata", "releases"] as const)
      for (const name of this.#list(folder))
        if (!before[folder].has(name)) rmSync(join(this.path, folder, name), { force: true });
  }

  /** Takes away the documents of a role from this version on. */
  drop(role: string, fromVersion: number): void {
    for (const name of this.#list("metadata")) {
      const { role: own, version } = filePattern.exec(name)?.groups ?? {};
      if (own === role && Number(version) >= fromVersion) rmSync(join(this.path, "metadata", name), { force: true });
    }
  }

  /** @throws CliError `file_unreadable` */
  releases(): Release[] {
    const names = this.#list("releases")
      .filter((name) => name.endsWith(".json"))
      .toSorted();
    return names.map((name) => {
      const path = join(this.path, "releases", name);
      try {
        return releaseSchema.parse(JSON.parse(readFileSync(path, "utf8")));
      } catch (error) {
        throw new CliError("file_unreadable", `${path} is no release`, {
          cause: error,
          hint: "take the file away; fairlead releases sign makes another one",
        });
      }
    });
  }
}
