import { toReleaseBytes, toReleaseTarget } from "@fairlead/artifacts/tuf";
import { CodedError } from "@fairlead/kernel";
import {
  publicationRequestSchema,
  publicationSchema,
  trustStateSchema,
  type HttpErrorCode,
  type Release,
} from "@fairlead/protocol";
import type { Store } from "@fairlead/store";
import * as z from "zod";
import type { Trust } from "../../trust/trust.ts";
import { defineRoute, type AnyRoute } from "../route.ts";

const fileSchema = z.strictObject({ file: z.string().regex(/^(?:[1-9]\d{0,8}\.)?[a-z0-9][a-z0-9-]{0,40}\.json$/u) });
const targetSchema = z.strictObject({
  model: z.string().max(64),
  version: z.string().max(64),
  file: z.string().regex(/^[0-9a-f]{64}\.[a-z0-9-]{1,64}\.json$/u),
});

function toAnswer(text: string | undefined, what: string): Response {
  if (text === undefined)
    throw new CodedError<HttpErrorCode>("not_found", `there is no ${what}`, { hint: "fairlead trust view" });
  return new Response(text, { headers: { "content-type": "application/json", "cache-control": "no-store" } });
}

/** The repository of The Update Framework, for devices and for whoever publishes. */
export function createTrustRoutes(trust: Trust, store: Store): readonly AnyRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/api/v1/trust",
      summary: "Which documents count, until when, and the plane's online keys",
      permission: "read",
      reach: "shared",
      request: {},
      response: trustStateSchema,
      handle: async () => ({ body: await trust.readState() }),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/trust/publications",
      summary: "Publish documents that were signed offline, with the releases that they vouch for",
      permission: "publish",
      audit: ["trust.publish", "release.publish"],
      request: { body: publicationRequestSchema },
      response: publicationSchema,
      errors: ["metadata_refused", "metadata_conflict", "not_found"],
      bodyBytes: 8_388_608,
      handle: async ({ body, by }) => ({ status: 201, body: await trust.publish({ ...body, ...by }) }),
    }),
    defineRoute({
      method: "POST",
      path: "/api/v1/trust/online-keys",
      summary: "Make another online key for the next root",
      audit: ["trust.add-online-key"],
      errors: ["conflict"],
      permission: "administer",
      request: {},
      response: z.object({ publicKey: z.string() }),
      handle: async ({ by }) => ({ status: 201, body: { publicKey: await trust.addOnlineKey(by) } }),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/trust/metadata/:file",
      summary: "One document of the repository, as it was signed",
      permission: "read-or-device",
      reach: "shared",
      request: { params: fileSchema },
      response: null,
      handle: async ({ params: { file } }) => toAnswer(await trust.read(file), file),
    }),
    defineRoute({
      method: "GET",
      path: "/api/v1/trust/targets/:model/:version/:file",
      summary: "One release as its publisher signed it",
      permission: "read-or-device",
      reach: "shared",
      request: { params: targetSchema },
      response: null,
      handle: async ({ params: { model, version, file } }) => {
        const [sha256 = "", releaseId = ""] = file.split(".");
        const row = await store.read.releases.get(releaseId);
        const release: Release | undefined = row?.document.signed;
        const isIt = release !== undefined && toReleaseTarget(release).sha256 === sha256;
        const named = isIt && release.content.model === model && release.content.version === version;
        return toAnswer(named ? toReleaseBytes(release).toString("utf8") : undefined, `release ${file}`);
      },
    }),
  ];
}
