import { toCanonicalJson } from "@fairlead/artifacts";
import { CodedError } from "@fairlead/kernel";
import {
  limits,
  type HttpErrorCode,
  type ModelSummary,
  type ModelVersion,
  type ModelVersionDetail,
  type RegisterVersionRequest,
} from "@fairlead/protocol";
import type { ModelVersionRow, Repositories } from "@fairlead/store";
import type { Asker } from "../context.ts";
import type { ArtifactFiles } from "./artifact-files.ts";
import {
  requireDistinctTargets,
  requireMeasurableChoice,
  requireModestSize,
  requireOneInterface,
  toModelVersion,
} from "./check-version.ts";
import type { RegistryContext } from "./store-artifact.ts";

/** Asks of the stored golden set what was asked of it at its upload, and that it fits the version. */
async function checkGolden(context: RegistryContext, files: ArtifactFiles, version: ModelVersion): Promise<void> {
  const artifact = version.selfTest.golden;
  if (artifact === null) return;
  await using handle = await files.open(artifact.digest, artifact.sizeBytes);
  if (handle === undefined || artifact.sizeBytes > limits.goldenBytes) {
    throw new CodedError<HttpErrorCode>("artifact_unknown", `the file of ${artifact.digest} is missing`, {
      hint: "upload the golden set again",
    });
  }
  await context.inspect({ kind: "fitting-golden", fd: handle.fd, version: { builds: version.builds } });
}

/** A version with what was read from its files and its newest release. */
export async function toVersionDetail(read: Repositories, row: ModelVersionRow): Promise<ModelVersionDetail> {
  const digests = row.content.builds.map(({ artifact }) => artifact.digest);
  const artifacts = await read.artifacts.listOf(digests);
  const release = await read.releases.getLatest(row.model, row.version);
  return {
    content: row.content,
    inspections: Object.fromEntries(
      artifacts.flatMap(({ digest, inspection }) => (inspection === null ? [] : [[digest, inspection]])),
    ),
    createdAtMs: row.createdAtMs,
    release: release?.document ?? null,
  };
}

export async function toModelSummary(read: Repositories, model: string): Promise<ModelSummary> {
  const released = new Set(await read.releases.listReleasedVersions(model));
  const versions = await read.modelVersions.listVersions(model);
  return {
    model,
    versions: versions.map(({ version, content, createdAtMs }) => ({
      version,
      builds: content.builds.length,
      released: released.has(version),
      createdAtMs,
    })),
  };
}

export interface RegisterRequest extends Asker {
  readonly model: string;
  readonly body: RegisterVersionRequest;
}

/**
 * Registers one version: every file is known, no target is claimed twice without a way to choose, all have one interface, and the labels
 * and the golden set fit it. The same request again changes nothing.
 * @throws CodedError `artifact_unknown` · `duplicate_target` · `validation_failed` · `version_exists`
 */
export async function registerVersion(
  context: RegistryContext,
  files: ArtifactFiles,
  { model, body, actor, from }: RegisterRequest,
): Promise<{ readonly detail: ModelVersionDetail; readonly created: boolean }> {
  const digests = body.builds.map(({ digest }) => digest);
  const { goldenDigest } = body.selfTest;
  // Stored files never change or go, so they can be checked before the transaction.
  const wanted = goldenDigest === null ? digests : [...digests, goldenDigest];
  const content = toModelVersion(model, body, await context.store.read.artifacts.listOf([...new Set(wanted)]));
  requireDistinctTargets(content);
  requireOneInterface(content);
  requireMeasurableChoice(content);
  requireModestSize(content);
  await checkGolden(context, files, content);
  const { version } = content;
  const subject = `${model}@${version}`;
  return await context.store.transaction(async (tx) => {
    const known = await tx.modelVersions.get(model, version);
    if (known !== undefined && toCanonicalJson(known.content) !== toCanonicalJson(content)) {
      throw new CodedError<HttpErrorCode>("version_exists", `${subject} is registered with other content`, {
        hint: "versions never change: choose the next version",
      });
    }
    if (known !== undefined) return { detail: await toVersionDetail(tx, known), created: false };
    const row = { model, version, content, createdAtMs: context.clock.nowMs(), createdBy: actor };
    await tx.modelVersions.add(row);
    const change = { before: null, after: { builds: digests, golden: goldenDigest } };
    const reason = "registered";
    await context.audit.append(tx, { actor, from, action: "model.register", subject, reason, change });
    await context.stream.emit(tx, "model", subject);
    return { detail: await toVersionDetail(tx, row), created: true };
  });
}
