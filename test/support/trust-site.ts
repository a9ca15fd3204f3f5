import {
  createSnapshot,
  createTimestamp,
  signMetadata,
  toFileName,
  toMetadataText,
  type MetadataFile,
  type TufSigner,
} from "@fairlead/artifacts/tuf";
import { createHttpFetch, initializeTrust, openUpdater, type HttpFetchOptions, type Updater } from "@fairlead/updater";
import type { Targets } from "@tufjs/models";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestTrust } from "./trust.ts";

export const farMs = Date.parse("2099-01-01");

export interface Ask extends HttpFetchOptions {
  readonly nowMs?: number;
}

export interface Binding {
  readonly online?: TufSigner;
  readonly expiresAtMs?: number;
  readonly timestampExpiresAtMs?: number;
  /** Where it is not the timestamp's. */
  readonly snapshotVersion?: number;
  /** Said of every document instead of its own. */
  readonly lengthBytes?: number;
}

/** Signed by the keys that are given, whether they may or not. */
export async function toFile(role: string, targets: Targets, signers: readonly TufSigner[]): Promise<MetadataFile> {
  return { role, version: targets.version, text: toMetadataText(await signMetadata(targets, signers)) };
}

/** A repository on a real server, and the agent's own updater that trusts its first root. */
export class TrustSite implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "trust-"));
  readonly trust = new TestTrust();
  /** Paths that were asked for, in their order, as they came. */
  readonly asked: string[] = [];
  /** Answers instead of the repository. */
  answer: ((name: string, response: ServerResponse) => boolean) | undefined;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const name = (request.url ?? "").slice(1);
      this.asked.push(name);
      if (this.answer?.(name, response) === true) return;
      void this.trust.serve().then((files) => {
        const text = files.get(decodeURIComponent(name));
        response.writeHead(text === undefined ? 404 : 200).end(text);
      });
    });
  }

  static async start(): Promise<TrustSite> {
    const site = new TrustSite();
    await new Promise<void>((resolve) => void site.#server.listen(0, "127.0.0.1", resolve));
    await initializeTrust(join(site.folder, "trust"), Buffer.from(await site.trust.firstRoot()));
    return site;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async withUpdater<Result>(run: (updater: Updater) => Promise<Result>, ask: Ask = {}): Promise<Result> {
    const updater = await openUpdater({
      folder: join(this.folder, "trust"),
      metadataUrl: this.url,
      fetch: createHttpFetch(ask),
      nowMs: () => ask.nowMs ?? Date.now(),
    });
    try {
      return await run(updater);
    } finally {
      await updater.close();
    }
  }

  /** The code of what a refresh ends with; `taken` when it ends well. */
  refresh(ask: Ask = {}): Promise<string> {
    return toCode(this.withUpdater((updater) => updater.refresh(), ask));
  }

  find(path: string, ask: Ask = {}): Promise<string> {
    return toCode(this.withUpdater((updater) => updater.findTarget(path), ask));
  }

  /** What the device keeps, by file name. */
  kept(): Readonly<Record<string, string>> {
    const folder = join(this.folder, "trust");
    return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  }

  /** Serves these documents, bound together by a new snapshot and timestamp: what the holder of the online key can do. */
  async bind(files: readonly MetadataFile[], version: number, more: Binding = {}): Promise<void> {
    const { forged } = this.trust;
    const { online = this.trust.online, expiresAtMs = farMs, snapshotVersion = version, lengthBytes } = more;
    const made = createSnapshot(files, { version: snapshotVersion, expiresAtMs });
    if (lengthBytes !== undefined)
      for (const meta of Object.values(made.meta)) Object.assign(meta, { length: lengthBytes });
    const text = toMetadataText(await signMetadata(made, [online]));
    const snapshot = { role: "snapshot", version: snapshotVersion, text };
    for (const file of [...files, snapshot]) forged.set(toFileName(file.role, file.version), file.text);
    const timestamp = createTimestamp(snapshot, { version, expiresAtMs: more.timestampExpiresAtMs ?? expiresAtMs });
    forged.set("timestamp.json", toMetadataText(await signMetadata(timestamp, [online])));
  }

  /** The newest document of a role, as it is served. */
  async served(role: "targets" | "publisher"): Promise<MetadataFile> {
    const versions = [...(await this.trust.serve())].flatMap(([name, text]): MetadataFile[] => {
      const version = new RegExp(`^(\\d+)\\.${role}\\.json$`, "u").exec(name)?.[1];
      return version === undefined ? [] : [{ role, version: Number(version), text }];
    });
    const newest = versions.toSorted((left, right) => left.version - right.version).at(-1);
    if (newest === undefined) throw new Error(`no ${role} is served`);
    return newest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function toCode(answer: Promise<unknown>): Promise<string> {
  return answer.then(
    () => "taken",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}
