import type { MeasurementKind } from "@fairlead/protocol";
import { existsSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { configFileName } from "../config.ts";
import { identityFiles } from "../enrol/identity.ts";
import type { InstalledBuild, SlotRecord } from "../models/slot-record.ts";
import type { DataPaths } from "../paths.ts";

/** One file that is measured. `slot` is set for model files, whose digest is known beforehand. */
export interface Target {
  readonly kind: MeasurementKind;
  readonly name: string;
  readonly path: string;
  readonly expected: string | null;
  readonly slot: string | null;
}

const maxAgentFiles = 512;

/** The agent's own code as it lies beside this file; tests are not part of what runs. */
export function listAgentFiles(folder: string): Target[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter(
      (entry) => entry.isFile() && /\.(?:ts|js|mjs|node|wasm)$/u.test(entry.name) && !entry.name.includes(".test."),
    )
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
    .slice(0, maxAgentFiles)
    .map((path) => {
      const name = relative(folder, path).split(sep).join("/").slice(-250);
      return { kind: "agent", name, path, expected: null, slot: null };
    });
}

/** The private key is left out: its digest would say something about it, and the certificate stands for it. */
export function listConfiguration(paths: DataPaths): Target[] {
  const files = [identityFiles.identity, identityFiles.certificate, identityFiles.ca].map(
    (file) => [`identity/${file}`, join(paths.identity, file)] as const,
  );
  const config = join(paths.root, configFileName);
  const all = existsSync(config) ? [...files, [configFileName, config] as const] : files;
  return all.map(([name, path]) => ({ kind: "configuration", name, path, expected: null, slot: null }));
}

/** The confirmed build is `slot/<slot>`; what else is kept for the slot has its role behind that. */
export function listModels(records: readonly SlotRecord[], toPath: (digest: string) => string): Target[] {
  return records.flatMap(({ slot, active, previous, candidate }) => {
    const fetched = candidate !== null && candidate.phase !== "downloading" ? candidate.build : null;
    const builds: readonly (readonly [string, InstalledBuild | null])[] = [
      [`slot/${slot}`, active],
      [`slot/${slot}/previous`, previous],
      [`slot/${slot}/candidate`, fetched],
    ];
    return builds.flatMap(([name, build]) => {
      if (build === null) return [];
      const { digest } = build.artifact;
      return [{ kind: "model" as const, name, path: toPath(digest), expected: digest, slot }];
    });
  });
}
