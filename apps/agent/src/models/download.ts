import { CodedError, hasErrorCode, toErrorCode, toErrorMessage } from "@fairlead/kernel";
import type { ArtifactReference } from "@fairlead/protocol";
import { open, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request, type Agent } from "node:https";
import { dirname } from "node:path";
import { parseContentRange } from "./content-range.ts";

export type DownloadErrorCode =
  | "download_unreachable"
  | "download_refused"
  | "download_stalled"
  | "download_incomplete"
  | "download_canceled"
  | "length_mismatch"
  | "disk_full";

export interface DownloadOptions {
  /** Mirrors in order of preference; each names the artifact already. */
  readonly urls: readonly string[];
  readonly artifact: ArtifactReference;
  /** The unfinished file; what it holds from before is continued. Its entity tag lies beside it. */
  readonly partPath: string;
  /** Carries the pinned CA and the device certificate. */
  readonly agent: Agent;
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
  readonly url: string;
  readonly offset: number;
  readonly etag: string | undefined;
}

function ask(options: DownloadOptions, { url, offset, etag }: Ask): Promise<IncomingMessage> {
  const headers: Record<string, string> = { accept: "application/octet-stream", "accept-encoding": "identity" };
  if (offset > 0 && etag !== undefined) {
    headers["range"] = `bytes=${offset}-${options.artifact.sizeBytes - 1}`;
    headers["if-range"] = etag;
  }
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: options.agent, headers, signal: options.signal, timeout: 30_000 }, resolve);
    sent.on("timeout", () => sent.destroy(new CodedError("download_stalled", `${new URL(url).host} does not answer`)));
    sent.on("error", reject);
    sent.end();
  });
}

/** The offset at which the body must be written: where we asked from, or zero when the server starts over. */
function acceptResponse(response: IncomingMessage, wanted: Ask, sizeBytes: number): number {
  const { statusCode, headers } = response;
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") refuse(`content encoding ${encoding} was not asked for`);
  const declared = headers["content-length"];
  const requireLength = (expected: number) => {
    if (declared !== undefined && Number(declared) !== expected)
      refuse(`the server announces ${declared} bytes, the release says ${expected}`, "length_mismatch");
  };
  if (statusCode === 200) {
    requireLength(sizeBytes);
    return 0;
  }
  if (statusCode !== 206) refuse(`status ${statusCode}`);
  const range = parseContentRange(headers["content-range"]);
  if (wanted.offset === 0 || range === undefined)
    refuse(`Content-Range "${headers["content-range"]}" was not asked for`);
  if (range.start !== wanted.offset || range.end !== sizeBytes - 1 || range.total !== sizeBytes)
    refuse(`Content-Range "${headers["content-range"]}" is not the range that was asked for`);
  if (headers.etag !== undefined && headers.etag !== wanted.etag) refuse("the entity tag changed between two parts");
  requireLength(sizeBytes - wanted.offset);
  return wanted.offset;
}

async function receive(options: DownloadOptions, response: IncomingMessage, offset: number): Promise<void> {
  const { artifact, partPath } = options;
  const file = await open(partPath, offset === 0 ? "w" : "r+", 0o600);
  let received = offset;
  let seen = offset;
  const stall = setInterval(() => {
    if (received - seen < (options.stallBytes ?? defaults.stallBytes))
      response.destroy(new CodedError("download_stalled", `less than the minimum came within the time`));
    seen = received;
  }, options.stallMs ?? defaults.stallMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if (received + chunk.length > artifact.sizeBytes)
        refuse(`the server sends more than ${artifact.sizeBytes} bytes`, "length_mismatch");
      await file.write(chunk, 0, chunk.length, received);
      received += chunk.length;
      options.onProgress?.(received);
    }
  } finally {
    clearInterval(stall);
    response.destroy();
    await file.close();
  }
  if (received < artifact.sizeBytes) refuse(`ended after ${received} bytes`, "download_incomplete");
}

async function fetchFrom(options: DownloadOptions, url: string): Promise<void> {
  const { partPath, artifact } = options;
  const etagPath = `${partPath}.etag`;
  if ((await toSize(partPath)) > artifact.sizeBytes) await discardPart(partPath);
  const offset = await toSize(partPath);
  if (offset === artifact.sizeBytes) return;
  const etag = await readFile(etagPath, "utf8").catch(() => undefined);
  await requireSpace(options, offset);
  const wanted: Ask = { url, offset: etag === undefined ? 0 : offset, etag };
  const response = await ask(options, wanted);
  let writeFrom: number;
  try {
    writeFrom = acceptResponse(response, wanted, artifact.sizeBytes);
  } catch (error) {
    response.destroy();
    // A server that answers a range badly may still serve the whole: the next attempt asks for it from the start.
    if (wanted.offset > 0) await discardPart(partPath);
    throw error;
  }
  if (writeFrom === 0) {
    await discardPart(partPath);
    const strong = response.headers.etag;
    if (strong?.startsWith('"') === true) await writeFile(etagPath, strong.slice(0, 256), { mode: 0o600 });
  }
  await receive(options, response, writeFrom);
}

function toDownloadError(error: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return new CodedError<DownloadErrorCode>("download_canceled", "the download was called off");
  const code = toErrorCode(error);
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG")
    return new CodedError<DownloadErrorCode>("disk_full", toErrorMessage(error), { cause: error });
  if (error instanceof CodedError) return error;
  return new CodedError<DownloadErrorCode>("download_unreachable", toErrorMessage(error), { cause: error });
}

/**
 * Brings the part file to its full signed length from the first mirror that can, continuing what is there. The digest is
 * the caller's to check, on the file as it lies on disk. Redirects are refused, nothing is ever decompressed.
 * @throws CodedError of DownloadErrorCode; the error of the last mirror
 */
export async function download(options: DownloadOptions): Promise<void> {
  let last: unknown = new CodedError<DownloadErrorCode>("download_unreachable", "no mirror is known");
  for (const url of options.urls) {
    try {
      await fetchFrom(options, url);
      return;
    } catch (error) {
      last = toDownloadError(error, options.signal);
      if (hasErrorCode(last, "length_mismatch") || hasErrorCode(last, "disk_full")) await discardPart(options.partPath);
      if (hasErrorCode(last, "download_canceled") || hasErrorCode(last, "disk_full")) throw last;
    }
  }
  throw last;
}
