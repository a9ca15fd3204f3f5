import { generateKeyPair, parseSigningKey } from "@fairlead/artifacts";
import {
  createRoot,
  createSnapshot,
  createTimestamp,
  listDelegations,
  parseMetadata,
  signMetadata,
  toFileName,
  toMetadataText,
  toReleaseBytes,
  toRootSpec,
  toTufKey,
  type MetadataByKind,
  type MetadataFile,
  type TufSigner,
} from "@fairlead/artifacts/tuf";
import { toErrorMessage } from "@fairlead/kernel";
import type { Release } from "@fairlead/protocol";
import { sign } from "node:crypto";
import { CliError } from "../errors.ts";
import { checkRelease } from "./as-device.ts";
import type { TrustFolder } from "./trust-folder.ts";

const hourMs = 3_600_000;

interface Trusted {
  readonly root: string;
  readonly nowMs: () => number;
}

/** From the trusted root to the newest one: each is signed by enough keys of the one before and of its own (§5.3). */
function followRoots(documents: ReadonlyMap<string, string>, { root, nowMs }: Trusted): MetadataByKind["root"] {
  let trusted = parseMetadata("root", root);
  trusted.verifyDelegate("root", trusted);
  for (;;) {
    const name = toFileName("root", trusted.signed.version + 1);
    const text = documents.get(name);
    if (text === undefined) break;
    const next = parseMetadata("root", text);
    if (next.signed.version !== trusted.signed.version + 1)
      throw new CliError("trust_refused", `${name} says that it is version ${next.signed.version}`);
    trusted.verifyDelegate("root", next);
    next.verifyDelegate("root", next);
    trusted = next;
  }
  // Written so that NaN refuses.
  if (!(nowMs() < Date.parse(trusted.signed.expires)))
    throw new CliError("trust_refused", `the root ended at ${trusted.signed.expires}`, {
      hint: "the root keys sign it anew: fairlead keys rotate root",
    });
  return trusted;
}

function createStandIn(): TufSigner {
  const { publicKeyPem, privateKeyPem } = generateKeyPair();
  const { privateKey } = parseSigningKey(privateKeyPem);
  return { key: toTufKey(publicKeyPem), sign: async (bytes) => sign(null, bytes, privateKey) };
}

/**
 * The folder as a plane would serve it. What only the plane's key says (which documents belong together, and that nothing is
 * newer) a key of this moment says in its place; whom the targets belong to stays what the verified roots say.
 */
async function serveFolder(folder: TrustFolder, root: MetadataByKind["root"], nowMs: number) {
  const [standIn, documents, versions] = [createStandIn(), folder.documents(), folder.versions()];
  const publishers = listDelegations(folder.read("targets", "targets").signed).map(({ role }) => role);
  const files = ["targets", ...publishers].flatMap((role): MetadataFile[] => {
    const version = versions.get(role) ?? 0;
    const text = documents.get(toFileName(role, version));
    return text === undefined ? [] : [{ role, version, text }];
  });
  const own = { keys: [standIn.key], threshold: 1 };
  const life = { version: 1, expiresAtMs: nowMs + hourMs };
  const spec = { root: own, targets: toRootSpec(root.signed).targets, snapshot: own, timestamp: own };
  const snapshot: MetadataFile = {
    ...{ role: "snapshot", version: 1 },
    text: toMetadataText(await signMetadata(createSnapshot(files, life), [standIn])),
  };
  const timestamp = await signMetadata(createTimestamp(snapshot, life), [standIn]);
  const served = new Map([...files, snapshot].map((file) => [toFileName(file.role, file.version), file.text]));
  served.set("timestamp.json", toMetadataText(timestamp));
  return { served, firstRoot: toMetadataText(await signMetadata(createRoot(spec, life), [standIn])) };
}

/**
 * Would a device take this release once the folder is published? No server is asked: roots are followed here, and for all that
 * the root's keys decide (targets, publishers, their patterns, thresholds and ends, the release's bytes) the devices' updater runs.
 * @returns the release's path
 * @throws CliError `trust_refused` · `trust_missing`
 */
export async function verifyInFolder(folder: TrustFolder, release: Release, trusted: Trusted): Promise<string> {
  let root: MetadataByKind["root"];
  try {
    root = followRoots(folder.documents(), trusted);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("trust_refused", `a device would refuse the root: ${toErrorMessage(error)}`, { cause: error });
  }
  const { served, firstRoot } = await serveFolder(folder, root, trusted.nowMs());
  return await checkRelease(release, {
    root: firstRoot,
    nowMs: trusted.nowMs,
    fetch: async (url) => {
      const [, kind, name = ""] = new URL(url).pathname.split("/");
      const text = served.get(decodeURIComponent(name));
      if (kind === "targets") return { kind: "bytes", bytes: toReleaseBytes(release) };
      return text === undefined ? { kind: "absent", status: 404 } : { kind: "bytes", bytes: Buffer.from(text) };
    },
  });
}
