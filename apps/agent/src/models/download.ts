import { CodedError, hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ArtifactReference } from "@fairlead/protocol";
import { open, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { ArtifactSource, OpenedArtifact } from "./artifact-source.ts";
import { parseContentRange } from "./content-range.ts";

export type DownloadErrorCode =
  | "download_unreachable"
  | "download_refused"
  | "download_absent"
  | "download_stalled"
  | "download_incomplete"
  | "download_canceled"
  | "length_mismatch"
  | "disk_full";

export interface DownloadOptions {
  /** In order of preference. */
  readonly sources: readonly ArtifactSource[];
  readonly artifact: ArtifactReference;
  /** The unfinished file; what the same source gave before is continued. Source and entity tag lie beside it. */
  readonly partPath: string;
  /** Judges the whole file while the next source can still be asked. @throws CodedError `digest_mismatch` */
  readonly accept?: () => Promise<void>;
  readonly onServed?: (source: ArtifactSource) => void;
  readonly onFailed?: (source: ArtifactSource, error: CodedError) => void;
  readonly signal: AbortSignal;
  readonly onProgress?: (receivedBytes: number) => void;
  /** A transfer must bring `stallBytes` in each `stallMs`, so a server that drips is left (slow retrieval attack). */
  readonly stallMs?: number;
  readonly stallBytes?: number;
  /** What must stay free on the disk. */
  readonly reserveBytes?: number;
}

const defaults = { stallMs: 30_000, stallBytes: 1_024, reserveBytes: 16_777_216 };

function refuse(message: string, code: DownloadErrorCode = "download_refused"): never {
  throw new CodedError<DownloadErrorCode>(code, message);
}

async function toSize(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

/** Forgets what was received: the next attempt starts at byte zero. */
export async function discardPart(partPath: string): Promise<void> {
  await Promise.all([rm(partPath, { force: true }), rm(`${partPath}.etag`, { force: true })]);
}

async function requireSpace(options: DownloadOptions, offset: number): Promise<void> {
  const disk = await statfs(dirname(options.partPath));
  const free = disk.bavail * disk.bsize;
  const needed = options.artifact.sizeBytes - offset + (options.reserveBytes ?? defaults.reserveBytes);
  if (free >= needed) return;
  throw new CodedError<DownloadErrorCode>("disk_full", `${free} bytes free, ${needed} needed`, {
    hint: "free space on the device; the download continues by itself",
    details: { freeBytes: free },
  });
}

interface Ask {
  readonly offset: number;
  readonly etag: string | undefined;
}

function ask(options: DownloadOptions, source: ArtifactSource, { offset, etag }: Ask): Promise<OpenedArtifact> {
  const { artifact, signal } = options;
  const headers: Record<string, string> = { accept: "application/octet-stream", "accept-encoding": "identity" };
  if (offset > 0 && etag !== undefined) {
    headers["range"] = `bytes=${offset}-${artifact.sizeBytes - 1}`;
    headers["if-range"] = etag;
  }
  return source.open({ headers, sizeBytes: artifact.sizeBytes, signal });
}

/** The offset at which the body must be written: where we asked from, or zero when the server starts over. */
function acceptResponse({ status, headers }: OpenedArtifact, wanted: Ask, sizeBytes: number): number {
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") refuse(`content encoding ${encoding} was not asked for`);
  const declared = headers["content-length"];
  const requireLength = (expected: number) => {
    if (declared !== undefined && Number(declared) !== expected)
      refuse(`the server announces ${declared} bytes, the release says ${expected}`, "length_mismatch");
  };
  if (status === 200) {
    requireLength(sizeBytes);
    return 0;
  }
  if (status === 404) refuse("status 404", "download_absent");
  if (status !== 206) refuse(`status ${status}`);
  const range = parseContentRange(headers["content-range"]);
  if (wanted.offset === 0 || range === undefined)
    refuse(`Content-Range "${headers["content-range"]}" was not asked for`);
  if (range.start !== wanted.offset || range.end !== sizeBytes - 1 || range.total !== sizeBytes)
    refuse(`Content-Range "${headers["content-range"]}" is not the range that was asked for`);
  if (headers.etag !== undefined && headers.etag !== wanted.etag) refuse("the entity tag changed between two parts");
  requireLength(sizeBytes - wanted.offset);
  return wanted.offset;
}

async function receive(options: DownloadOptions, opened: OpenedArtifact, offset: number): Promise<void> {
  const { artifact, partPath } = options;
  const file = await open(partPath, offset === 0 ? "w" : "r+", 0o600);
  let received = offset;
  let seen = offset;
  const stall = setInterval(() => {
    if (received - seen < (options.stallBytes ?? defaults.stallBytes))
      opened.close(new CodedError("download_stalled", `less than the minimum came within the time`));
    seen = received;
  }, options.stallMs ?? defaults.stallMs);
  try {
    for await (const chunk of opened.body) {
      if (received + chunk.length > artifact.sizeBytes)
        refuse(`the server sends more than ${artifact.sizeBytes} bytes`, "length_mismatch");
      await file.write(chunk, 0, chunk.length, received);
      received += chunk.length;
      options.onProgress?.(received);
    }
  } finally {
    clearInterval(stall);
    opened.close();
    await file.close();
  }
  if (received < artifact.sizeBytes) refuse(`ended after ${received} bytes`, "download_incomplete");
}

/** What the part file holds of this source. What another one gave is no beginning: one liar would spoil the honest rest. */
async function readLeftover(options: DownloadOptions, { name }: ArtifactSource): Promise<Ask> {
  const { partPath, artifact } = options;
  const size = await toSize(partPath);
  const [from, etag] = (await readFile(`${partPath}.etag`, "utf8").catch(() => "")).split("\n");
  if (size > artifact.sizeBytes) await discardPart(partPath);
  const isOwn = from === name && size <= artifact.sizeBytes;
  if (isOwn && size === artifact.sizeBytes) return { offset: size, etag: undefined };
  return !isOwn || etag === undefined || etag === "" ? { offset: 0, etag: undefined } : { offset: size, etag };
}

async function fetchFrom(options: DownloadOptions, source: ArtifactSource): Promise<void> {
  const { partPath, artifact } = options;
  const wanted = await readLeftover(options, source);
  if (wanted.offset === artifact.sizeBytes) return;
  await requireSpace(options, wanted.offset);
  const opened = await ask(options, source, wanted);
  let writeFrom: number;
  try {
    writeFrom = acceptResponse(opened, wanted, artifact.sizeBytes);
  } catch (error) {
    opened.close();
    // A server that answers a range badly may still serve the whole: the next attempt asks for it from the start.
    if (wanted.offset > 0) await discardPart(partPath);
    throw error;
  }
  if (writeFrom === 0) {
    await discardPart(partPath);
    const { etag = "" } = opened.headers;
    const strong = etag.startsWith('"') ? etag.slice(0, 256).replaceAll(/[^\x20-\x7e]/gu, "") : "";
    await writeFile(`${partPath}.etag`, `${source.name}\n${strong}`, { mode: 0o600 });
  }
  await receive(options, opened, writeFrom);
}

const codesOfEgress: Readonly<Record<string, DownloadErrorCode>> = {
  response_too_large: "length_mismatch",
  response_too_slow: "download_stalled",
  timed_out: "download_stalled",
  redirect_refused: "download_refused",
  response_refused: "download_refused",
  address_refused: "download_refused",
  url_refused: "download_refused",
};

function toDownloadError(error: unknown, signal: AbortSignal): CodedError {
  if (signal.aborted) return new CodedError<DownloadErrorCode>("download_canceled", "the download was called off");
  const code = toErrorCode(error) ?? "";
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG")
    return new CodedError<DownloadErrorCode>("disk_full", toErrorMessage(error), { cause: error });
  const known = Object.hasOwn(codesOfEgress, code) ? codesOfEgress[code] : undefined;
  if (known !== undefined) return new CodedError(known, toErrorMessage(error), { cause: error });
  if (error instanceof CodedError && code !== "unreachable" && code !== "name_unresolved") return error;
  return new CodedError<DownloadErrorCode>("download_unreachable", toErrorMessage(error), { cause: error });
}

const spoiling = ["length_mismatch", "digest_mismatch", "disk_full"];

/**
 * Brings the part file to its full signed length from the first source that can, continuing what that source gave before.
 * With `accept` the bytes are judged before the download counts, so that a source that lies is left for the next one.
 * Redirects are refused, nothing is ever decompressed.
 * @throws CodedError of DownloadErrorCode; the error of the last source
 */
export async function download(options: DownloadOptions): Promise<void> {
  let last = new CodedError<string>("download_unreachable", "no source is known");
  for (const source of options.sources) {
    try {
      await fetchFrom(options, source);
      await options.accept?.();
      options.onServed?.(source);
      return;
    } catch (error) {
      last = toDownloadError(error, options.signal);
      if (spoiling.some((code) => hasErrorCode(last, code))) await discardPart(options.partPath);
      if (hasErrorCode(last, "download_canceled") || hasErrorCode(last, "disk_full")) throw last;
      options.onFailed?.(source, last);
    }
  }
  throw last;
}
