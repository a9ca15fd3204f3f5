import { generateKeyPair, parseSigningKey } from "@fairlead/artifacts";
import {
  addDelegation,
  addRelease,
  createRoot,
  createSnapshot,
  createTargets,
  createTimestamp,
  removeDelegation,
  signMetadata,
  toFileName,
  toMetadataText,
  toReleaseTarget,
  toTufKey,
  type MetadataByKind,
  type MetadataFile,
  type RootSpec,
  type TufSigner,
} from "@fairlead/artifacts/tuf";
import type { Release } from "@fairlead/protocol";
import type { Targets } from "@tufjs/models";
import { sign } from "node:crypto";

const dayMs = 86_400_000;

export function createSigner(): TufSigner {
  const { publicKeyPem, privateKeyPem } = generateKeyPair();
  const { privateKey } = parseSigningKey(privateKeyPem);
  return { key: toTufKey(publicKeyPem), sign: async (bytes) => sign(null, bytes, privateKey) };
}

/** A whole repository of The Update Framework with every key in memory; each change is served at the next question. */
export class TestTrust {
  readonly root = createSigner();
  readonly publisher = createSigner();
  readonly online = createSigner();
  /** How long what is served says that nothing is newer. */
  timestampLifeMs = 4 * dayMs;
  /** Served instead of what was signed, by file name. */
  readonly forged = new Map<string, string>();
  #releases: Release[] = [];
  #revoked = false;
  #version = 0;
  #served: Promise<Map<string, string>> | undefined;

  add(release: Release): void {
    this.#releases.push(release);
    this.#served = undefined;
  }

  /** The publisher's key counts no more. */
  revoke(): void {
    this.#revoked = true;
    this.#served = undefined;
  }

  /** Serves this targets document, with one text for every publisher that it names. */
  async replaceTargets(targets: Targets, publisherText?: string): Promise<void> {
    const { version } = targets;
    const expiresAtMs = Date.now() + 365 * dayMs;
    const files: MetadataFile[] = [
      { role: "targets", version, text: toMetadataText(await signMetadata(targets, [this.root])) },
    ];
    if (publisherText !== undefined)
      for (const role of Object.keys(targets.delegations?.roles ?? {}))
        files.push({ role, version, text: publisherText });
    const signed = await signMetadata(createSnapshot(files, { version, expiresAtMs }), [this.online]);
    const snapshot = { role: "snapshot", version, text: toMetadataText(signed) };
    const timestamp = await signMetadata(createTimestamp(snapshot, { version, expiresAtMs }), [this.online]);
    for (const file of [...files, snapshot]) this.forged.set(toFileName(file.role, version), file.text);
    this.forged.set("timestamp.json", toMetadataText(timestamp));
  }

  /** Signs everything anew, for instance after `timestampLifeMs` was changed. */
  renew(): void {
    this.#served = undefined;
  }

  #toRoot(): Promise<MetadataByKind["root"]> {
    const own = { keys: [this.root.key], threshold: 1 };
    const online = { keys: [this.online.key], threshold: 1 };
    const spec: RootSpec = { root: own, targets: own, snapshot: online, timestamp: online };
    return signMetadata(createRoot(spec, { version: 1, expiresAtMs: Date.parse("2100-01-01") }), [this.root]);
  }

  async firstRoot(): Promise<string> {
    return toMetadataText(await this.#toRoot());
  }

  async serve(): Promise<Map<string, string>> {
    this.#served ??= this.#sign();
    return new Map([...(await this.#served), ...this.forged]);
  }

  async #sign(): Promise<Map<string, string>> {
    this.#version += 1;
    const [version, nowMs] = [this.#version, Date.now()];
    const expiresAtMs = nowMs + 365 * dayMs;
    const stamp = <Signed extends { version: number }>(signed: Signed): Signed => Object.assign(signed, { version });
    const first = createTargets({ version: 1, expiresAtMs });
    const delegation = { role: "publisher", keys: [this.publisher.key], threshold: 1, models: ["*"] };
    const delegated = addDelegation(first, delegation, expiresAtMs);
    const targets = stamp(this.#revoked ? removeDelegation(delegated, "publisher", expiresAtMs) : delegated);
    let publisher = first;
    for (const release of this.#releases) publisher = addRelease(publisher, toReleaseTarget(release), expiresAtMs);
    const files: MetadataFile[] = [
      { role: "targets", version, text: toMetadataText(await signMetadata(targets, [this.root])) },
      { role: "publisher", version, text: toMetadataText(await signMetadata(stamp(publisher), [this.publisher])) },
    ];
    const snapshot = await signMetadata(createSnapshot(files, { version, expiresAtMs }), [this.online]);
    files.push({ role: "snapshot", version, text: toMetadataText(snapshot) });
    const life = { version, expiresAtMs: nowMs + this.timestampLifeMs };
    const last = files.at(-1);
    if (last === undefined) throw new Error("no snapshot");
    const timestamp = await signMetadata(createTimestamp(last, life), [this.online]);
    const named = files.map((file) => [toFileName(file.role, file.version), file.text] as const);
    return new Map([["1.root.json", await this.firstRoot()], ["timestamp.json", toMetadataText(timestamp)], ...named]);
  }
}
