import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@fairlead/kernel";
import { configFileName } from "../config.ts";
import { identityFiles } from "../enrol/identity.ts";
import type { MeasuredFile } from "./ports.ts";

export interface AgentTree {
  readonly folder: string;
  /** First part of the names, such as `agent/src`. */
  readonly prefix: string;
  readonly maxFiles?: number;
}

const measured = /\.(?:ts|js|mjs|cjs|json|sql|node|wasm|yaml)$/u;
/** Tests never run on a device. */
const unmeasured = /\.test\.ts$/u;
const maxDepth = 16;
const maxNameChars = 256;

/** Files that the agent runs from, sorted by name. @throws CodedError `tree_too_large`, or the system's when unreadable */
export async function listAgentFiles({ folder, prefix, maxFiles = 1_000 }: AgentTree): Promise<MeasuredFile[]> {
  const files: MeasuredFile[] = [];
  const visit = async (parts: readonly string[]): Promise<void> => {
    for (const entry of await readdir(join(folder, ...parts), { withFileTypes: true })) {
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      const path = [...parts, entry.name];
      if (entry.isDirectory() && parts.length < maxDepth) await visit(path);
      if (entry.isDirectory() || !measured.test(entry.name) || unmeasured.test(entry.name)) continue;
      if (files.length >= maxFiles)
        throw new CodedError("tree_too_large", `more than ${maxFiles} files below ${prefix}`);
      files.push({ kind: "agent", name: toName([prefix, ...path].join("/")), path: join(folder, ...path) });
    }
  };
  await visit([]);
  return files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function toName(name: string): string {
  if (name.length <= maxNameChars) return name;
  return `${name.slice(0, 180)}~${createHash("sha256").update(name).digest("hex")}`;
}

/**
 * What the agent is told and whom it believes. Key and certificate are left out: the plane knows the certificate by its
 * fingerprint at every connection, and it is renewed.
 */
export function listConfigurationFiles(paths: { readonly root: string; readonly identity: string }): MeasuredFile[] {
  const { ca, identity } = identityFiles;
  return [
    { kind: "configuration", name: configFileName, path: join(paths.root, configFileName), optional: true },
    ...[ca, identity].map((file): MeasuredFile => {
      return { kind: "configuration", name: `identity/${file}`, path: join(paths.identity, file) };
    }),
  ];
}
