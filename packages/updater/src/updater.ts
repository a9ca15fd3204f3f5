import { CodedError, toErrorMessage } from "@fairlead/kernel";
import { Metadata, MetadataKind, type TargetFile } from "@tufjs/models";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHash, randomUUID } from "node:crypto";
import { Updater as TufClient, type Fetcher } from "tuf-js";
import { DownloadHTTPError } from "tuf-js/dist/error.js";
import { checkDistinctKeys } from "./distinct-keys.ts";
import { closeWorkFolder, commitWorkFolder, install, openWorkFolder } from "./durable-files.ts";
import { toUpdaterError } from "./errors.ts";
import { checkStrictJson } from "./strict-json.ts";

/**
 * What a document may weigh, whatever a snapshot or timestamp says of it: they are signed by the plane's own key, and who
 * holds that key must not be able to fill a device's memory. The library's own caps are below this.
 */
const maxDocumentBytes = 5_000_000;
/** Targets are documents too: releases, which name the files of models by digest and length. */
const maxTargetBytes = 16_777_216;
/** NAME_MAX of Linux is 255; `.part` is added to a name. */
const maxFileNameBytes = 240;

export type FetchResource = (
  url: string,
  maxBytes: number,
) => Promise<
  { readonly kind: "bytes"; readonly bytes: Buffer } | { readonly kind: "absent"; readonly status: 403 | 404 }
>;

export interface UpdaterOptions {
  /** Trusted metadata, one file per role under its own name; `initializeTrust` puts the first root there. */
  readonly folder: string;
  readonly metadataUrl: string;
  readonly fetch: FetchResource;
  /** The caller's best floor of the true time, in milliseconds; expiry is judged by this and by the system's clock. */
  readonly nowMs: () => number;
}

export interface TrustedTarget {
  readonly path: string;
  readonly lengthBytes: number;
  /** Hexadecimal, by algorithm. */
  readonly hashes: Readonly<Record<string, string>>;
  readonly custom: Readonly<Record<string, unknown>>;
}

/** One session: metadata is brought up to date once, then asked as often as wanted. */
export interface Updater {
  /** The client workflow of The Update Framework, §5.3 to §5.6. What was verified is kept, even if the rest fails. */
  refresh(): Promise<void>;
  /** The target as its publisher signed it; undefined when nobody who may do so vouches for the path. */
  findTarget(path: string): Promise<TrustedTarget | undefined>;
  /** The target's bytes in `folder`, fetched only if they are not there. @returns the file's path */
  download(path: string, place: { readonly baseUrl: string; readonly folder: string }): Promise<string>;
  /** When the freshest statement about the repository ends. */
  timestampExpiresAtMs(): Promise<number>;
  close(): Promise<void>;
}

/** The first trusted root; it is checked when it is used, not here. */
export async function initializeTrust(folder: string, root: Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = join(folder, "root.json.new");
  await writeFile(temporary, root, { mode: 0o600 });
  await install(temporary, join(folder, "root.json"));
}

/** Before the library parses it: one reading, and no key twice. @throws CodedError `metadata_refused` */
function checkDocument(bytes: Buffer): void {
  checkStrictJson(bytes);
  checkDistinctKeys(bytes);
}

/** The library's port, on ours: every document is checked before the library parses it. */
class StrictFetcher implements Fetcher {
  readonly #fetch: FetchResource;

  constructor(fetch: FetchResource) {
    this.#fetch = fetch;
  }

  async downloadBytes(url: string, maxLength: number): Promise<Buffer> {
    const bytes = await this.#get(url, Math.min(maxLength, maxDocumentBytes));
    checkDocument(bytes);
    return bytes;
  }

  async downloadFile<Result>(
    ...[url, maxLength, handle]: [string, number, (file: string) => Promise<Result>]
  ): Promise<Result> {
    const file = join(tmpdir(), `target-${randomUUID()}`);
    try {
      await writeFile(file, await this.#get(url, Math.min(maxLength, maxTargetBytes)), { mode: 0o600 });
      return await handle(file);
    } finally {
      await rm(file, { force: true });
    }
  }

  async #get(url: string, maxLength: number): Promise<Buffer> {
    const answer = await this.#fetch(url, maxLength);
    if (answer.kind === "absent") throw new DownloadHTTPError("not there", answer.status);
    if (answer.bytes.length > maxLength) throw new CodedError("metadata_refused", `longer than ${maxLength} bytes`);
    return answer.bytes;
  }
}

/**
 * The library reads the system's clock once, when it is opened, and judges every document by that reading, a publisher's too.
 * It is raised to the caller's floor, so that a clock that was set back brings no document to life again.
 * @throws Error when the library keeps its reading elsewhere
 */
function raiseClock(client: TufClient, nowMs: number): void {
  const { trustedSet } = client as unknown as { readonly trustedSet?: { readonly referenceTime?: unknown } };
  const read = trustedSet?.referenceTime;
  if (!(read instanceof Date)) throw new Error("the library's reading of the clock is not found");
  if (read.getTime() < nowMs) read.setTime(nowMs);
}

function toTarget(target: TargetFile): TrustedTarget {
  return { path: target.path, lengthBytes: target.length, hashes: { ...target.hashes }, custom: { ...target.custom } };
}

/**
 * One name per target, whatever the path holds: the encoding leaves no separator. What it leaves as it is (`.` and `..`), what
 * it cannot encode and what is too long for a file's name is named by its digest.
 */
function toTargetFileName(path: string): string {
  const name = encodeURIComponent(path.toWellFormed());
  if (name.length <= maxFileNameBytes && path.isWellFormed() && !/^\.*$/u.test(name)) return name;
  return `sha256:${createHash("sha256").update(Buffer.from(path, "utf16le")).digest("hex")}`;
}

const kinds = [
  ["root.json", MetadataKind.Root],
  ["timestamp.json", MetadataKind.Timestamp],
  ["snapshot.json", MetadataKind.Snapshot],
  ["targets.json", MetadataKind.Targets],
] as const;

function toExpiryMs(bytes: Buffer, kind: MetadataKind): number {
  const parsed = JSON.parse(bytes.toString("utf8")) as Parameters<typeof Metadata.fromJSON>[1];
  // The overloads of the library differ by kind only.
  const { signed } = Metadata.fromJSON(kind as MetadataKind.Root, parsed);
  return Date.parse(signed.expires);
}

/**
 * The updater of everything that trusts releases: tuf-js inside, and around it a length cap and least speed on every
 * answer, one reading of every document, a time floor beside the system's clock, files that survive a power cut, and a
 * cache of targets.
 * @throws CodedError of UpdaterErrorCode
 */
export async function openUpdater(options: UpdaterOptions): Promise<Updater> {
  const { folder, metadataUrl } = options;
  const work = await openWorkFolder(folder);
  let client: TufClient;
  try {
    // The one that was pinned too, and one that was kept before this was asked.
    checkDocument(await readFile(join(work, "root.json")));
    client = new TufClient({
      metadataDir: work,
      metadataBaseUrl: metadataUrl,
      fetcher: new StrictFetcher(options.fetch),
    });
    raiseClock(client, options.nowMs());
  } catch (error) {
    await closeWorkFolder(folder);
    throw new CodedError("root_invalid", `the trusted root in ${folder} cannot be used: ${toErrorMessage(error)}`, {
      cause: error,
      hint: "enrol again, with a root document whose fingerprint you know",
    });
  }
  const readTrusted = (name: string) => readFile(join(work, name));

  const requireInTime = async (): Promise<void> => {
    for (const [name, kind] of kinds) {
      const untilMs = toExpiryMs(await readTrusted(name), kind);
      // Written so that NaN refuses.
      if (!(options.nowMs() < untilMs)) throw new CodedError("metadata_expired", `${name} ended at ${untilMs}`);
    }
  };
  /** Whatever was verified on the way is kept: that is what protects from older versions at the next time. */
  const keeping = async <Result>(run: () => Promise<Result>): Promise<Result> => {
    try {
      return await run();
    } catch (error) {
      throw toUpdaterError(error);
    } finally {
      await commitWorkFolder(folder);
    }
  };
  let refreshed: Promise<void> | undefined;
  const refresh = (): Promise<void> =>
    (refreshed ??= keeping(async () => {
      await client.refresh();
      await requireInTime();
    }));
  const find = async (path: string): Promise<TargetFile | undefined> => {
    await refresh();
    return await keeping(() => client.getTargetInfo(path));
  };

  return {
    refresh,
    findTarget: async (path) => {
      const target = await find(path);
      return target === undefined ? undefined : toTarget(target);
    },
    download: async (path, place) => {
      const target = await find(path);
      if (target === undefined) throw new CodedError("target_refused", `nobody vouches for ${path}`);
      const file = join(place.folder, toTargetFileName(path));
      if ((await client.findCachedTarget(target, file)) !== undefined) return file;
      const part = `${file}.part`;
      try {
        await client.downloadTarget(target, part, place.baseUrl);
        await install(part, file);
      } catch (error) {
        throw new CodedError("target_refused", `${path}: ${toErrorMessage(error)}`.slice(0, 500), { cause: error });
      } finally {
        await rm(part, { force: true });
      }
      return file;
    },
    timestampExpiresAtMs: async () => toExpiryMs(await readTrusted("timestamp.json"), MetadataKind.Timestamp),
    close: () => closeWorkFolder(folder),
  };
}
