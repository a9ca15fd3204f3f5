import { detectProfile, loadProfiles } from "@fairlead/hardware";
import { CodedError } from "@fairlead/kernel";
import { deviceIdSchema, labelsSchema } from "@fairlead/protocol";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isWiping } from "../decommission/wipe-intent.ts";
import { loadConfig } from "../config.ts";
import { lockDataFolder } from "../lock.ts";
import { createLogger } from "../log.ts";
import { removeOutbox } from "../decommission/wipe-data.ts";
import { createDataFolders, toDataPaths, type DataPaths } from "../paths.ts";
import { profilesFolder } from "../places.ts";
import { toTpmForNewKey } from "../tpm/tpm-config.ts";
import type { EnrolRight } from "./ask-with-key.ts";
import { describeAssurance } from "./assurance.ts";
import { enrol } from "./enrol.ts";
import { eraseDeviceKeys } from "./erase-keys.ts";

export interface EnrolArguments {
  readonly server: string;
  readonly right: EnrolRight;
  readonly device: string;
  readonly data: string;
  readonly labels: readonly string[];
  /** Erases the key that is there first: for a device whose key may be in other hands too. */
  readonly newKey: boolean;
  /** Path of a root document that was brought by hand. */
  readonly trustRoot: string | undefined;
}

function toLabels(pairs: readonly string[]): Record<string, string> {
  const labels = Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      return at < 0 ? [pair, ""] : [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const parsed = labelsSchema.safeParse(labels);
  if (parsed.success && pairs.every((pair) => pair.includes("="))) return parsed.data;
  throw new CodedError("usage", `labels must be key=value in Kubernetes syntax: ${pairs.join(", ")}`, {
    hint: "for example --label site=berlin",
  });
}

/**
 * What a copy of this folder may hold as well goes: key, queue and evidence chain. The next identity counts anew, and
 * shares no place with what a copy has sent.
 */
function forgetIdentity(paths: DataPaths): void {
  eraseDeviceKeys(paths.identity);
  removeOutbox(paths);
  for (const name of ["chain.json", "chain.json.previous", "session.json", "session.json.previous"])
    rmSync(join(paths.state, name), { force: true });
}

export async function runEnrol(args: EnrolArguments): Promise<void> {
  if (!deviceIdSchema.safeParse(args.device).success)
    throw new CodedError("usage", `"${args.device}" cannot be a device name`, {
      hint: "use lower-case letters, digits and dashes, at most 64",
    });
  const labels = toLabels(args.labels);
  const paths = toDataPaths(args.data);
  if (isWiping(paths))
    throw new CodedError("wipe_unfinished", "this device was decommissioned and is not empty yet", {
      hint: "let fairlead-agent run end by itself, then enrol",
    });
  createDataFolders(paths);
  // A running agent holds the identity of before in its memory, and what it shows of that would count as a copy's.
  const lock = lockDataFolder(paths.root);
  try {
    await enrolInto(paths, args, labels);
  } finally {
    lock.release();
  }
}

async function enrolInto(paths: DataPaths, args: EnrolArguments, labels: Readonly<Record<string, string>>) {
  const config = await loadConfig(paths.root, process.env);
  const nowMs = () => Date.now();
  const write = (line: string) => void process.stderr.write(line);
  const logger = createLogger({ level: config.logLevel, write, pretty: process.stderr.isTTY, nowMs });
  const profile = config.profile ?? (await detectProfile(await loadProfiles(profilesFolder))).metadata.name;
  const { readInventory } = await import("@fairlead/hardware/inventory");
  if (args.newKey) forgetIdentity(paths);
  const trustRoot = args.trustRoot === undefined ? null : readFileSync(args.trustRoot, "utf8");
  const identity = await enrol({
    ...args,
    trustRoot,
    labels,
    profile,
    inventory: await readInventory(),
    folder: paths.identity,
    tpm: toTpmForNewKey(config.tpm),
    workFolder: paths.run,
    nowMs,
    logger,
    timeoutMs: 600_000,
  });
  // What an earlier identity trusted says nothing to this one.
  rmSync(paths.trust, { recursive: true, force: true });
  process.stdout.write(
    `enrolled ${identity.device} (${profile}) with ${identity.apiUrl}; its key is ${describeAssurance(identity.assurance)}\n`,
  );
}
