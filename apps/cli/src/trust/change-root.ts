import {
  renewTargets,
  createRoot,
  createTargets,
  signMetadata,
  toRootSpec,
  toTufKey,
  type RootSpec,
} from "@fairlead/artifacts/tuf";
import { CliError } from "../errors.ts";
import { generateKeyFile, readPublicKey, toKeyId } from "./key-file.ts";
import { saveDelegation } from "./change-targets.ts";
import { openSigners, type Workplace } from "./workplace.ts";

const dayMs = 86_400_000;
const rootLifeMs = 365 * dayMs;
const targetsLifeMs = 365 * dayMs;

type Role = keyof RootSpec;
const toSigning = (name: string, role: RootSpec[Role]) => ({
  name,
  keyIds: role.keys.map((key) => key.keyID),
  threshold: role.threshold,
});

/** Without names of keys: three for the root of which two must sign, one for targets, one publisher of every model. */
const usual = { root: ["root-1", "root-2", "root-3"], targets: ["targets"], publisher: "publisher" } as const;

export interface CreateOptions {
  readonly rootKeys: readonly string[];
  readonly threshold: number;
  readonly targetsKeys: readonly string[];
  /** Public half of the plane's online key, PEM. */
  readonly onlineKeys: readonly string[];
}

/** The first root and the first targets document. @throws CliError `usage` when there is a repository already */
export async function createRepository(workplace: Workplace, options: CreateOptions): Promise<void> {
  const { folder, keys, nowMs, passphrase } = workplace;
  if (folder.has("root")) throw new CliError("usage", `${folder.path} holds a repository already`);
  const isUsual = options.rootKeys.length === 0;
  if (isUsual)
    await Promise.all(
      [...usual.root, ...usual.targets, usual.publisher].map((name) => generateKeyFile(keys, name, passphrase())),
    );
  const rootNames = isUsual ? usual.root : options.rootKeys;
  const targetsNames = options.targetsKeys.length === 0 ? usual.targets : options.targetsKeys;
  const online = options.onlineKeys.map(toTufKey);
  const spec: RootSpec = {
    root: { keys: rootNames.map((name) => readPublicKey(keys, name)), threshold: isUsual ? 2 : options.threshold },
    targets: { keys: targetsNames.map((name) => readPublicKey(keys, name)), threshold: 1 },
    snapshot: { keys: online, threshold: 1 },
    timestamp: { keys: online, threshold: 1 },
  };
  const root = createRoot(spec, { version: 1, expiresAtMs: nowMs + rootLifeMs });
  const targets = createTargets({ version: 1, expiresAtMs: nowMs + targetsLifeMs });
  // All keys are asked for before anything is written.
  const signedRoot = await signMetadata(root, await openSigners(workplace, toSigning("root", spec.root)));
  const signedTargets = await signMetadata(targets, await openSigners(workplace, toSigning("targets", spec.targets)));
  folder.save("root", signedRoot);
  folder.save("targets", signedTargets);
  if (isUsual)
    await saveDelegation(workplace, {
      role: usual.publisher,
      keys: [readPublicKey(keys, usual.publisher)],
      threshold: 1,
      models: ["*"],
    });
}

export interface RotateOptions {
  readonly role: Role;
  readonly add: readonly string[];
  readonly addOnline: readonly string[];
  /** Names of key files, or key ids where the key is lost. */
  readonly remove: readonly string[];
  readonly threshold: number | null;
}

/**
 * The next root: signed by enough keys of the one before and by enough of its own (The Update Framework §5.3.4), so that
 * neither the old nor the new keys alone can change who is trusted.
 */
export async function rotateRoot(workplace: Workplace, options: RotateOptions): Promise<number> {
  const { folder, keys, nowMs } = workplace;
  const before = folder.read("root", "root").signed;
  const spec = toRootSpec(before);
  const removed = new Set(options.remove.map((name) => toKeyId(keys, name)));
  const kept = spec[options.role].keys.filter((key) => !removed.has(key.keyID));
  const added = [...options.add.map((name) => readPublicKey(keys, name)), ...options.addOnline.map(toTufKey)];
  const changed = { keys: [...kept, ...added], threshold: options.threshold ?? spec[options.role].threshold };
  const next: RootSpec = { ...spec, [options.role]: changed };
  const version = before.version + 1;
  const root = createRoot(next, { version, expiresAtMs: nowMs + rootLifeMs });
  const old = await openSigners(workplace, toSigning("the present root", spec.root));
  const own = await openSigners(workplace, toSigning("the next root", next.root));
  folder.save(
    "root",
    await signMetadata(root, [...new Map([...old, ...own].map((signer) => [signer.name, signer])).values()]),
  );
  if (options.role === "targets") await resignTargets(workplace, next.targets);
  return version;
}

/** What an earlier key signed no longer counts, so the same is said by the present ones. */
async function resignTargets(workplace: Workplace, role: RootSpec["targets"]): Promise<void> {
  const { folder } = workplace;
  const { signed } = folder.read("targets", "targets");
  const next = renewTargets(signed, workplace.nowMs + targetsLifeMs);
  folder.save("targets", await signMetadata(next, await openSigners(workplace, toSigning("targets", role))));
}
