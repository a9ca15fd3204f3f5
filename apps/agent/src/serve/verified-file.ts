import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { toErrorCode } from "@fairlead/kernel";
import { ServeError } from "./serving-error.ts";

/** What a read may fail by without a word about the file. */
const passing: ReadonlySet<string> = new Set(["EIO", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EINTR"]);

export interface ExpectedFile {
  readonly path: string;
  /** `sha256:<64 hexadecimal digits>`. */
  readonly digest: string;
  readonly sizeBytes: number;
}

/**
 * Reads a file once and checks the very bytes that it returns, so that what is loaded is what was checked whatever
 * happens to the path meanwhile. The memory is not pooled: it can move to another thread.
 */
export async function readVerifiedFile(expected: ExpectedFile, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { path, digest, sizeBytes } = expected;
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 1 || sizeBytes > maxBytes) {
    throw new ServeError("length_mismatch", `a size of ${sizeBytes} bytes is not admitted`);
  }
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    if (!(await file.stat()).isFile()) throw new ServeError("file_unreadable", "the path names no regular file");
    let length = 0;
    while (length < sizeBytes) {
      const { bytesRead } = await file.read(bytes, length, sizeBytes - length, length);
      if (bytesRead === 0) throw new ServeError("length_mismatch", `${length} bytes instead of ${sizeBytes}`);
      length += bytesRead;
    }
    const { bytesRead } = await file.read(Buffer.alloc(1), 0, 1, sizeBytes);
    if (bytesRead > 0) throw new ServeError("length_mismatch", `more than ${sizeBytes} bytes`);
  } catch (error) {
    if (error instanceof ServeError) throw error;
    if (passing.has(toErrorCode(error) ?? "")) throw new ServeError("read_failed", "the file could not be read", error);
    throw new ServeError("file_unreadable", "the file cannot be read", error);
  }
  const actual = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (actual !== digest) throw new ServeError("digest_mismatch", `the file's digest is ${actual}, expected ${digest}`);
  return bytes;
}
