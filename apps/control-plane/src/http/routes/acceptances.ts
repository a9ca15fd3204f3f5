import { acceptanceRequestSchema, knownBadVersionSchema, modelNameSchema, versionSchema } from "@fairlead/protocol";
import * as z from "zod";
import { acceptKnownBad } from "../../rollouts/known-bad.ts";
import type { PlaneContext } from "../../context.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const params = z.strictObject({ model: modelNameSchema, version: versionSchema });

export function createAcceptanceRoute(context: PlaneContext): AnyRoute {
  return defineRoute({
    ...{ method: "POST", path: "/api/v1/models/:model/versions/:version/acceptances", permission: "approve" },
    summary: "Accept that a version which failed in a rollout is rolled out again, by another person, within a day",
    audit: ["release.accept-known-bad"],
    request: { params, body: acceptanceRequestSchema },
    response: knownBadVersionSchema,
    errors: ["not_found"],
    handle: async ({ params: { model, version }, body: { reason }, by }) => ({
      status: 201,
      body: await acceptKnownBad(context, { model, version, ...by, reason }),
    }),
  });
}
