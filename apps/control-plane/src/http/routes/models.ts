import { CodedError } from "@fairlead/kernel";
import {
  modelNameSchema,
  modelSummarySchema,
  modelVersionDetailSchema,
  pageQuerySchema,
  registerVersionRequestSchema,
  toListSchema,
  versionSchema,
  type HttpErrorCode,
} from "@fairlead/protocol";
import * as z from "zod";
import type { ArtifactFiles } from "../../registry/artifact-files.ts";
import { registerVersion, toModelSummary, toVersionDetail } from "../../registry/register-version.ts";
import type { RegistryContext } from "../../registry/store-artifact.ts";
import { parseCursor, toPage } from "../page-cursor.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const modelParams = z.strictObject({ model: modelNameSchema });

export function createModelRoutes(context: RegistryContext, files: ArtifactFiles): readonly AnyRoute[] {
  const { read } = context.store;
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/models",
      summary: "List the models with their versions",
      permission: "read",
      reach: "shared",
      request: { query: pageQuerySchema },
      response: toListSchema(modelSummarySchema),
      handle: async ({ query: { limit, cursor } }) => {
        const after = parseCursor(cursor);
        const names = await read.modelVersions.listModels({
          limit: limit + 1,
          ...(after === undefined ? {} : { after }),
        });
        const page = toPage(names, limit, (name) => name);
        return { body: { ...page, items: await Promise.all(page.items.map((name) => toModelSummary(read, name))) } };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/models/:model",
      summary: "One model with its versions",
      permission: "read",
      reach: "shared",
      request: { params: modelParams },
      response: modelSummarySchema,
      handle: async ({ params: { model } }) => {
        const summary = await toModelSummary(read, model);
        if (summary.versions.length === 0) {
          throw new CodedError<HttpErrorCode>("not_found", `no model is named ${model}`);
        }
        return { body: summary };
      },
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/models/:model/versions/:version",
      summary: "One version: its builds, what was read from their files, its newest release",
      permission: "read",
      reach: "shared",
      request: { params: z.strictObject({ model: modelNameSchema, version: versionSchema }) },
      response: modelVersionDetailSchema,
      handle: async ({ params: { model, version } }) => {
        const row = await read.modelVersions.get(model, version);
        if (row === undefined) throw new CodedError<HttpErrorCode>("not_found", `${model} has no version ${version}`);
        return { body: await toVersionDetail(read, row) };
      },
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/models/:model/versions",
      summary: "Register a version from uploaded files",
      permission: "publish",
      audit: ["model.register"],
      request: { params: modelParams, body: registerVersionRequestSchema },
      response: modelVersionDetailSchema,
      errors: ["artifact_unknown", "duplicate_target", "version_exists"],
      handle: async ({ params: { model }, body, by }) => {
        const { detail, created } = await registerVersion(context, files, { model, body, ...by });
        return { status: created ? 201 : 200, body: detail };
      },
    }),
  ];
}
