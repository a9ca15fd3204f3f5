import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { basename } from "node:path";
import { ClientError, type Client } from "@fairlead/client";
import { limits } from "@fairlead/protocol";
import { CliError } from "../errors.ts";
import { createProgress } from "../output/progress.ts";
import type { Streams } from "../output/output.ts";

export interface LocalArtifact {
  readonly path: string;
  readonly kind: "onnx" | "golden";
  readonly digest: string;
  readonly sizeBytes: number;
}

/** Reads the file once, in pieces, for its digest. */
export async function measureArtifact(path: string, kind: LocalArtifact["kind"]): Promise<LocalArtifact> {
  try {
    const { size } = statSync(path);
    const limit = kind === "onnx" ? limits.artifactBytes : limits.goldenBytes;
    if (size === 0 || size > limit)
      throw new CliError(
        "file_unreadable",
        `${path} has ${size} bytes; ${kind === "onnx" ? "a model" : "a golden set"} has 1 to ${limit}`,
      );
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    return { path, kind, digest: `sha256:${hash.digest("hex")}`, sizeBytes: size };
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError("file_unreadable", `cannot read ${path}`, {
      cause: error,
      hint: "is the path right, and is it a file you may read?",
    });
  }
}

/** Streams exactly the measured number of bytes; a file that grew or shrank meanwhile is refused. */
async function* readMeasured(artifact: LocalArtifact, onBytes: (count: number) => void): AsyncGenerator<Uint8Array> {
  let sentBytes = 0;
  const changed = (): CliError =>
    new CliError("file_changed", `${artifact.path} changed while it was being sent`, { hint: "push it again" });
  for await (const chunk of createReadStream(artifact.path, { highWaterMark: 256 * 1024 })) {
    const bytes = chunk as Buffer;
    sentBytes += bytes.length;
    if (sentBytes > artifact.sizeBytes) throw changed();
    onBytes(bytes.length);
    yield bytes;
  }
  if (sentBytes !== artifact.sizeBytes) throw changed();
}

/** @returns false when the server had these bytes already. */
export async function uploadArtifact(
  client: Client,
  artifact: LocalArtifact,
  ui: { readonly streams: Streams; readonly quiet: boolean; readonly signal: AbortSignal },
): Promise<boolean> {
  if (await client.models.hasArtifact(artifact.digest)) return false;
  const progress = createProgress({
    err: ui.streams.err,
    enabled: !ui.quiet,
    title: basename(artifact.path),
    totalBytes: artifact.sizeBytes,
  });
  try {
    const { digest, kind, sizeBytes } = artifact;
    const body = readMeasured(artifact, (count) => progress.add(count));
    await client.models.uploadArtifact({ digest, kind, sizeBytes, body, signal: ui.signal });
    return true;
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    // The server knows a digest; the user knows a file name.
    const { code, hint, status, fields, details } = error;
    const options = { cause: error, status, fields, details, ...(hint === undefined ? {} : { hint }) };
    throw new ClientError(code, `${artifact.path}: ${error.message}`, options);
  } finally {
    progress.end();
  }
}
