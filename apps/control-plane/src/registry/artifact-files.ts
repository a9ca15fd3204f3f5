import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir, rename, rm, statfs, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, hasErrorCode, toErrorMessage } from "@fairlead/kernel";
import { digestSchema, type HttpErrorCode } from "@fairlead/protocol";

export interface ArtifactFilesOptions {
  /** Everything lies below it: `sha256/<first two digits>/<digits>` and `incoming/`. */
  readonly folder: string;
  /** Left free for the database. Default 16 MiB. */
  readonly reserveBytes?: number;
  /** An upload that sends nothing for so long is given up. Default 60 s. */
  readonly idleTimeoutMs?: number;
  /** How a file that must not exist yet is made. Default: exclusive, mode 0600. */
  readonly createFile?: (path: string) => Promise<FileHandle>;
}

export interface ReceiveOptions {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly maxBytes: number;
  /** What Content-Length says; null when it says nothing. */
  readonly declaredBytes: number | null;
  readonly signal: AbortSignal;
  /** false: the bytes are only counted and digested, because they are stored already. */
  readonly kept: boolean;
}

/** Bytes that arrived whole, on disk and synced, under a name that nobody serves. */
export interface ReceivedFile {
  /** null when it was not kept. */
  readonly path: string | null;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Removes it unless it was installed. */
  discard(): Promise<void>;
}

export interface ArtifactFiles {
  /** Makes the folders; removes what an interrupted upload or registration left. `known` are the registered digests. */
  prepare(known: ReadonlySet<string>): Promise<void>;
  receive(options: ReceiveOptions): Promise<ReceivedFile>;
  /** One step: the file is there whole or not at all, also after a power cut. */
  install(file: ReceivedFile): Promise<void>;
  remove(digest: string): Promise<void>;
  /** @returns undefined when the file is missing or has another size */
  open(digest: string, sizeBytes: number): Promise<FileHandle | undefined>;
}

interface Advice {
  readonly hint: string;
  readonly cause?: unknown;
}
const refuse = (code: HttpErrorCode, message: string, advice: Advice): CodedError<HttpErrorCode> =>
  new CodedError<HttpErrorCode>(code, message, advice);

const fullHint = "free space on the disk of the data folder and upload again; nothing was kept";

/** How much may arrive between two looks at the free space. */
const recheckBytes = 4 * 1024 ** 2;

const createExclusively = (path: string): Promise<FileHandle> => open(path, "wx", 0o600);

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await folder.sync();
}

/** The system's error → ours; anything else passes through unchanged. */
function toStorageError(error: unknown): unknown {
  if (!["ENOSPC", "EDQUOT", "EFBIG"].some((code) => hasErrorCode(error, code))) return error;
  return refuse("storage_full", "the disk of the data folder is full", { hint: fullHint, cause: error });
}

export function createArtifactFiles(options: ArtifactFilesOptions): ArtifactFiles {
  const { folder, reserveBytes = 16 * 1024 ** 2, idleTimeoutMs = 60_000, createFile = createExclusively } = options;
  const stored = join(folder, "sha256");
  const incoming = join(folder, "incoming");

  const toPlace = (digest: string): { readonly folder: string; readonly path: string } => {
    // The digest becomes a path here, so it is checked here whoever asks.
    const hex = digestSchema.parse(digest).slice("sha256:".length);
    const shelf = join(stored, hex.slice(0, 2));
    return { folder: shelf, path: join(shelf, hex) };
  };

  const requireSpace = async (sizeBytes: number): Promise<void> => {
    const { bavail, bsize } = await statfs(incoming);
    if (bavail * bsize - reserveBytes >= sizeBytes) return;
    throw refuse(
      "storage_full",
      `the disk of the data folder has no room for ${sizeBytes === 0 ? "the rest" : `${sizeBytes} bytes`} (${bavail * bsize} free, ${reserveBytes} kept back for the database)`,
      { hint: fullHint },
    );
  };

  const openIncoming = async (kept: boolean): Promise<{ path: string | null; handle: FileHandle | null }> => {
    if (!kept) return { path: null, handle: null };
    const path = join(incoming, `${randomBytes(16).toString("hex")}.part`);
    return { path, handle: await createFile(path) };
  };

  const receive = async (request: ReceiveOptions): Promise<ReceivedFile> => {
    const { maxBytes, declaredBytes, kept } = request;
    const tooLarge = () =>
      refuse("payload_too_large", `the upload exceeds ${maxBytes} bytes`, {
        hint: "make the file smaller or split the model",
      });
    if (declaredBytes !== null && declaredBytes > maxBytes) throw tooLarge();
    if (kept) await requireSpace(declaredBytes ?? 0);
    const { path, handle } = await openIncoming(kept);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    const discard = async (): Promise<void> => {
      if (path !== null) await rm(path, { force: true });
    };
    try {
      for await (const chunk of readChunks(request, idleTimeoutMs)) {
        sizeBytes += chunk.byteLength;
        if (sizeBytes > maxBytes) throw tooLarge();
        hash.update(chunk);
        // Waiting for the disk before the next read is the back-pressure: one chunk is in memory, whatever the size.
        if (handle === null) continue;
        await handle.appendFile(chunk);
        // Others write too, and a size may not have been declared: the database's share stays free all the same.
        if (Math.floor(sizeBytes / recheckBytes) > Math.floor((sizeBytes - chunk.byteLength) / recheckBytes))
          await requireSpace(0);
      }
      if (declaredBytes !== null && declaredBytes !== sizeBytes) {
        throw refuse("length_mismatch", `the upload ended after ${sizeBytes} of ${declaredBytes} bytes`, {
          hint: "upload it again; nothing was kept",
        });
      }
      await handle?.sync();
      await handle?.close();
    } catch (error) {
      await handle?.close().catch(() => undefined);
      await discard();
      throw toStorageError(error);
    }
    return { path, digest: `sha256:${hash.digest("hex")}`, sizeBytes, discard };
  };

  return {
    prepare: async (known) => {
      await mkdir(stored, { recursive: true, mode: 0o700 });
      await rm(incoming, { recursive: true, force: true });
      await mkdir(incoming, { recursive: true, mode: 0o700 });
      for (const shelf of await readdir(stored)) {
        for (const name of await readdir(join(stored, shelf))) {
          // Installed, but the power failed before its row was committed: nobody can ask for it.
          if (!known.has(`sha256:${name}`)) await rm(join(stored, shelf, name), { force: true });
        }
      }
      await syncFolder(folder);
    },
    receive,
    install: async (file) => {
      if (file.path === null) throw new CodedError("file_missing", "a file that was not kept cannot be installed");
      const place = toPlace(file.digest);
      try {
        await mkdir(place.folder, { recursive: true, mode: 0o700 });
        await rename(file.path, place.path);
        await syncFolder(place.folder);
        await syncFolder(stored);
      } catch (error) {
        throw toStorageError(error);
      }
    },
    remove: async (digest) => {
      await rm(toPlace(digest).path, { force: true });
    },
    open: async (digest, sizeBytes) => {
      let handle: FileHandle;
      try {
        handle = await open(toPlace(digest).path, constants.O_RDONLY | constants.O_NOFOLLOW);
      } catch (error) {
        if (hasErrorCode(error, "ENOENT")) return undefined;
        throw error;
      }
      const status = await handle.stat();
      if (status.isFile() && status.size === sizeBytes) return handle;
      await handle.close();
      return undefined;
    },
  };
}

/** A sender that drips holds a connection and a file: each window must bring this much, or the end. */
const leastBytesPerWindow = 16_384;

/** The chunks of a body; throws when the sender goes away, drips or falls silent. */
async function* readChunks(
  { body, signal, declaredBytes }: ReceiveOptions,
  idleTimeoutMs: number,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  let receivedBytes = 0;
  let countedBytes = 0;
  let stopped: "idle" | "aborted" | undefined;
  const broken = (why: string, cause?: unknown) =>
    refuse(
      "length_mismatch",
      `the upload ended after ${receivedBytes}${declaredBytes === null ? "" : ` of ${declaredBytes}`} bytes: ${why}`,
      { hint: "upload it again; nothing was kept", cause },
    );
  const stop = (reason: "idle" | "aborted") => {
    stopped ??= reason;
    reader.cancel().catch(() => undefined);
  };
  const onAbort = () => stop("aborted");
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(() => stop("idle"), idleTimeoutMs);
  try {
    if (signal.aborted) throw broken("the sender went away");
    for (;;) {
      const next = await reader.read().catch((error: unknown) => {
        throw broken(toErrorMessage(error), error);
      });
      if (stopped === "idle") throw broken(`less than ${leastBytesPerWindow} bytes came in ${idleTimeoutMs} ms`);
      if (stopped === "aborted") throw broken("the sender went away");
      if (next.done) return;
      receivedBytes += next.value.byteLength;
      if (receivedBytes - countedBytes >= leastBytesPerWindow) {
        countedBytes = receivedBytes;
        timer.refresh();
      }
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
    reader.cancel().catch(() => undefined);
  }
}
