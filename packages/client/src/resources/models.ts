import {
  artifactSchema,
  modelSummarySchema,
  modelVersionDetailSchema,
  knownBadVersionSchema,
  releasesInUseSchema,
  signedReleaseSchema,
  type Artifact,
  type KnownBadVersion,
  type ModelSummary,
  type ModelVersionDetail,
  type RegisterVersionRequest,
  type SignedRelease,
} from "@fairlead/protocol";
import { ClientError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { readAll, type ListOptions } from "./list.ts";

export interface UploadOptions {
  readonly digest: string;
  readonly kind: "onnx" | "golden";
  readonly sizeBytes: number;
  /** Read once, in order; the caller counts for its progress bar. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
}

export interface ModelsClient {
  list(options?: ListOptions): Promise<ModelSummary[]>;
  get(model: string): Promise<ModelSummary>;
  getVersion(model: string, version: string): Promise<ModelVersionDetail>;
  registerVersion(model: string, request: RegisterVersionRequest): Promise<ModelVersionDetail>;
  hasArtifact(digest: string): Promise<boolean>;
  /** `PUT /api/v1/artifacts/{digest}`: streamed, without a total time limit. */
  uploadArtifact(options: UploadOptions): Promise<Artifact>;
  listReleases(options?: ListOptions): Promise<SignedRelease[]>;
  /** Ids of releases that some device or rollout uses. */
  listReleasesInUse(): Promise<readonly string[]>;
  acceptKnownBad(model: string, version: string, reason: string): Promise<KnownBadVersion>;
}

export function createModelsClient(transport: Transport): ModelsClient {
  return {
    list: (options) => readAll(transport, { path: ["models"], item: modelSummarySchema }, options),
    get: (model) => transport.read(modelSummarySchema, { method: "GET", path: ["models", model] }),
    getVersion: (model, version) =>
      transport.read(modelVersionDetailSchema, { method: "GET", path: ["models", model, "versions", version] }),
    registerVersion: (model, json) =>
      transport.read(modelVersionDetailSchema, { method: "POST", path: ["models", model, "versions"], json }),
    hasArtifact: async (digest) => {
      try {
        await transport.send({ method: "HEAD", path: ["artifacts", digest] });
        return true;
      } catch (error) {
        if (error instanceof ClientError && (error.code === "not_found" || error.code === "artifact_unknown"))
          return false;
        throw error;
      }
    },
    uploadArtifact: ({ digest, kind, sizeBytes, body, signal }) =>
      transport.read(artifactSchema, {
        method: "PUT",
        path: ["artifacts", digest],
        query: { kind },
        stream: { body, sizeBytes },
        timeoutMs: null,
        ...(signal === undefined ? {} : { signal }),
      }),
    listReleases: (options) => readAll(transport, { path: ["releases"], item: signedReleaseSchema }, options),
    listReleasesInUse: async () =>
      (await transport.read(releasesInUseSchema, { method: "GET", path: ["releases", "in-use"] })).releases,
    acceptKnownBad: (model, version, reason) =>
      transport.read(knownBadVersionSchema, {
        method: "POST",
        path: ["models", model, "versions", version, "acceptances"],
        json: { reason },
      }),
  };
}
