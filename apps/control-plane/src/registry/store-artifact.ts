import { createHash } from "node:crypto";
import type { OperatorPolicy } from "@fairlead/inference/inspect";
import { CodedError, hasErrorCode } from "@fairlead/kernel";
import { limits, type Artifact, type HttpErrorCode } from "@fairlead/protocol";
import type { ArtifactRow } from "@fairlead/store";
import type { Asker, PlaneContext } from "../context.ts";
import type { ArtifactFiles, ReceivedFile } from "./artifact-files.ts";
import type { InspectFile, InspectionJob } from "./inspect-upload.ts";

export type RegistryContext = Pick<
  PlaneContext,
  "audit" | "clock" | "createId" | "logger" | "sign" | "store" | "stream" | "tenant"
> & {
  /** Which operators the models of this plane may use. */
  readonly operators: OperatorPolicy;
  readonly inspect: InspectFile;
};

export interface UploadRequest extends Asker {
  readonly digest: string;
  readonly kind: Artifact["kind"];
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  readonly signal: AbortSignal;
}

const maxBytesByKind: Record<Artifact["kind"], number> = { onnx: limits.artifactBytes, golden: limits.goldenBytes };

function refuse(code: HttpErrorCode, message: string, hint: string): never {
  throw new CodedError<HttpErrorCode>(code, message, { hint });
}

/** @throws CodedError `unsupported_media_type` · `bad_request` */
function parseDeclaredBytes(headers: Headers): number | null {
  const encoding = headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    refuse("unsupported_media_type", `the upload is encoded with ${encoding}`, "send the bytes as they are");
  }
  const text = headers.get("content-length");
  if (text === null) return null;
  if (!/^\d{1,15}$/u.test(text)) refuse("bad_request", "Content-Length is no number", "send the size in bytes");
  return Number(text);
}

function toArtifact(row: ArtifactRow, created: boolean): Artifact {
  const { digest, sizeBytes, kind, inspection } = row;
  return { digest, sizeBytes, kind, inspection, created };
}

/**
 * True when the row's bytes are really there. A disk damages a file without touching its length, so all of it is read;
 * what is lost or damaged is healed by uploading it again.
 */
async function isIntact(files: ArtifactFiles, row: ArtifactRow): Promise<boolean> {
  await using handle = await files.open(row.digest, row.sizeBytes);
  if (handle === undefined) return false;
  const hash = createHash("sha256");
  try {
    for await (const chunk of handle.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>)
      hash.update(chunk);
  } catch (error) {
    // A block that the disk cannot read any more.
    if (hasErrorCode(error, "EIO")) return false;
    throw error;
  }
  return `sha256:${hash.digest("hex")}` === row.digest;
}

/**
 * Receives one file. The checks, in order: encoding, declared length, room on the disk, length while streaming, whole
 * length, digest, content. Only then the file gets the name under which it is served, and its row.
 */
export async function storeArtifact(
  context: RegistryContext,
  files: ArtifactFiles,
  request: UploadRequest,
): Promise<Artifact> {
  const { digest, kind, body, signal } = request;
  const declaredBytes = parseDeclaredBytes(request.headers);
  const known = await context.store.read.artifacts.get(digest);
  if (known !== undefined && known.kind !== kind) {
    refuse("conflict", `${digest} is stored as ${known.kind}, not as ${kind}`, `name it with ?kind=${known.kind}`);
  }
  const stored = known !== undefined && (await isIntact(files, known));
  const maxBytes = maxBytesByKind[kind];
  const file = await files.receive({ body, signal, declaredBytes, maxBytes, kept: !stored });
  try {
    if (file.digest !== digest) {
      refuse(
        "digest_mismatch",
        `expected ${digest}, but the ${file.sizeBytes} bytes that came have ${file.digest}`,
        "the file changed or was damaged on its way; compute its SHA-256 again and upload it again",
      );
    }
    if (known !== undefined && stored) return toArtifact(known, false);
    return await keepArtifact(context, files, { request, file, heals: known !== undefined });
  } finally {
    await file.discard();
  }
}

interface Keeping {
  readonly request: UploadRequest;
  readonly file: ReceivedFile;
  /** The row was there before these bytes, and its file was not as it should be. */
  readonly heals: boolean;
}

async function keepArtifact(context: RegistryContext, files: ArtifactFiles, { request, file, heals }: Keeping) {
  const { digest, kind, actor, from } = request;
  const { operators } = context;
  const { path } = file;
  const toJob = (of: string): InspectionJob =>
    kind === "onnx" ? { kind, path: of, operators } : { kind: "golden", path: of };
  const inspection = path === null ? null : await context.inspect(toJob(path));
  const createdAtMs = context.clock.nowMs();
  const row: ArtifactRow = { digest, sizeBytes: file.sizeBytes, kind, inspection, createdAtMs, createdBy: actor };
  try {
    // The move happens inside the transaction, so that two uploads of the same bytes take turns.
    return await context.store.transaction(async (tx) => {
      const known = await tx.artifacts.get(digest);
      await files.install(file);
      if (known !== undefined) {
        if (heals)
          await context.audit.append(tx, {
            ...{ actor, from, action: "artifact.heal", subject: digest, reason: "the stored file was lost or damaged" },
            change: { before: { intact: false }, after: { intact: true } },
          });
        return toArtifact(known, false);
      }
      await tx.artifacts.add(row);
      await context.audit.append(tx, {
        ...{ actor, from, action: "artifact.store", subject: digest, reason: "uploaded" },
        change: { before: null, after: { kind, sizeBytes: file.sizeBytes } },
      });
      return toArtifact(row, true);
    });
  } catch (error) {
    await forget(context, files, digest);
    throw error;
  }
}

/** Takes the file away again when its row could not be written; a failure here is made good at the next start. */
async function forget(context: RegistryContext, files: ArtifactFiles, digest: string): Promise<void> {
  try {
    await context.store.transaction(async (tx) => {
      if ((await tx.artifacts.get(digest)) === undefined) await files.remove(digest);
    });
  } catch {
    context.logger.warn("a file without a row stays until the next start", { digest });
  }
}
