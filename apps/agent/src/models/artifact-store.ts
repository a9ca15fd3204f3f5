import { createHasher } from "@fairlead/artifacts";
import { CodedError, toErrorMessage } from "@fairlead/kernel";
import type { ArtifactReference } from "@fairlead/protocol";
import { open, readdir, rename, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { discardPart } from "./download.ts";

/** Verified artifacts, one file per digest; a file gets its name only after its bytes were checked and synced. */
export interface ArtifactStore {
  toPath(digest: string): string;
  toPartPath(digest: string): string;
  /** Reads the whole file. False when it is absent, unreadable, of another length or of another digest. */
  isIntact(artifact: ArtifactReference): Promise<boolean>;
  /** Part file → checked, synced, renamed. @throws CodedError `digest_mismatch` · `length_mismatch` */
  install(artifact: ArtifactReference): Promise<void>;
  /** Removes every artifact and part that is not in the list. */
  keepOnly(digests: ReadonlySet<string>): Promise<readonly string[]>;
}

const readBytes = 1_048_576;

const toHex = (digest: string): string => digest.slice("sha256:".length);

/** Length and digest of a file as it lies on disk. */
export async function measureFile(path: string): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const hasher = createHasher();
  await using file = await open(path, "r");
  // One buffer for all of it: a stream makes one for each piece, and the small heap of a device collects them late.
  const chunk = Buffer.allocUnsafe(readBytes);
  for (;;) {
    const { bytesRead } = await file.read(chunk, 0, readBytes, null);
    if (bytesRead === 0) return { sizeBytes: hasher.sizeBytes, digest: hasher.finish() };
    hasher.update(chunk.subarray(0, bytesRead));
  }
}

/** Bytes that may be written to the file system of the folder. */
export async function readFreeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function openArtifactStore(folders: { readonly artifacts: string; readonly downloads: string }): ArtifactStore {
  const toPath = (digest: string) => join(folders.artifacts, toHex(digest));
  const toPartPath = (digest: string) => join(folders.downloads, `${toHex(digest)}.part`);
  return {
    toPath,
    toPartPath,
    async isIntact(artifact) {
      const found = await measureFile(toPath(artifact.digest)).catch(() => undefined);
      return found?.digest === artifact.digest && found.sizeBytes === artifact.sizeBytes;
    },
    async install(artifact) {
      const part = toPartPath(artifact.digest);
      const found = await measureFile(part);
      if (found.sizeBytes !== artifact.sizeBytes || found.digest !== artifact.digest) {
        await discardPart(part);
        const code = found.sizeBytes === artifact.sizeBytes ? "digest_mismatch" : "length_mismatch";
        throw new CodedError(code, `the fetched file is ${found.digest}, the release says ${artifact.digest}`, {
          hint: "check the mirror, or publish the release again",
        });
      }
      await syncPath(part);
      await rename(part, toPath(artifact.digest));
      await syncPath(folders.artifacts);
      await discardPart(part);
    },
    async keepOnly(digests) {
      const kept = new Set([...digests].map(toHex));
      const removed: string[] = [];
      for (const folder of [folders.artifacts, folders.downloads]) {
        for (const name of await readdir(folder)) {
          if (kept.has(name.slice(0, 64))) continue;
          await rm(join(folder, name), { force: true }).catch((error: unknown) => {
            throw new CodedError("store_unwritable", toErrorMessage(error), { cause: error });
          });
          removed.push(name);
        }
      }
      return removed;
    },
  };
}
