import { CodedError } from "@fairlead/kernel";
import { artifactSchema, digestSchema, type HttpErrorCode } from "@fairlead/protocol";
import * as z from "zod";
import { mayDeviceFetch } from "../../registry/admit-device.ts";
import type { ArtifactFiles } from "../../registry/artifact-files.ts";
import { serveArtifact } from "../../registry/serve-artifact.ts";
import { storeArtifact, type RegistryContext } from "../../registry/store-artifact.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const params = z.strictObject({ digest: digestSchema });

export function createArtifactRoutes(context: RegistryContext, files: ArtifactFiles): readonly AnyRoute[] {
  return [
    defineRoute({
      method: "PUT",
      path: "/api/v1/artifacts/:digest",
      summary: "Upload a model file or a golden set; streamed, checked, stored once",
      permission: "publish",
      request: { params, query: z.strictObject({ kind: z.enum(["onnx", "golden"]) }) },
      response: artifactSchema,
      errors: [
        "digest_mismatch",
        "length_mismatch",
        "payload_too_large",
        "storage_full",
        "not_onnx",
        "model_truncated",
        "external_data_refused",
        "unknown_operator",
        "unsupported_opset",
        "model_too_complex",
        "tensor_malformed",
      ],
      timeoutMs: null,
      audit: ["artifact.store", "artifact.heal"],
      handle: async ({ params: { digest }, query: { kind }, headers, raw, signal, by }) => {
        const upload = { digest, kind, headers, body: raw.body, signal, ...by };
        const artifact = await storeArtifact(context, files, upload);
        return { status: artifact.created ? 201 : 200, body: artifact, etag: digest };
      },
    }),
    // HEAD arrives here too: the framework dispatches it to GET.
    defineRoute({
      method: "GET",
      path: "/api/v1/artifacts/:digest",
      summary: "Download an artifact, whole or one range",
      permission: "read-or-device",
      reach: "shared",
      request: { params },
      response: null,
      errors: ["forbidden", "range_not_satisfiable", "precondition_failed"],
      timeoutMs: null,
      traffic: "bytes",
      handle: async ({ params: { digest }, caller, headers, raw }) => {
        if (caller.kind === "device" && !(await mayDeviceFetch(context.store.read, caller.device, digest))) {
          throw new CodedError<HttpErrorCode>("forbidden", `${caller.device} runs nothing that needs ${digest}`, {
            hint: "a device may fetch what its desired state names",
          });
        }
        const row = await context.store.read.artifacts.get(digest);
        if (row === undefined) throw new CodedError<HttpErrorCode>("not_found", `${digest} is not stored here`);
        return await serveArtifact(files, row, { method: raw.method, headers, path: new URL(raw.url).pathname });
      },
    }),
  ];
}
