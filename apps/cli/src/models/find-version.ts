import { ClientError, type Client } from "@fairlead/client";
import type { ModelVersionDetail } from "@fairlead/protocol";
import { findOrSuggest, kinds } from "../not-found.ts";
import { suggestName } from "../suggest.ts";

/** A registered version; when it does not exist, the error says which model or version was near. */
export async function findVersion(client: Client, model: string, version: string): Promise<ModelVersionDetail> {
  const { versions } = await findOrSuggest(kinds.model, model, {
    find: () => client.models.get(model),
    listNames: async () => (await client.models.list()).map((entry) => entry.model),
  });
  return await findOrSuggest(kinds.version, version, {
    find: () => client.models.getVersion(model, version),
    listNames: async () => versions.map((entry) => entry.version),
  });
}

/** Why a version cannot be rolled out: a name that was mistyped, or a release that nobody signed. */
export async function toReleaseMissing(client: Client, model: string, version: string): Promise<ClientError> {
  const models = await client.models.list();
  const versions = models.find((entry) => entry.model === model)?.versions.map((entry) => entry.version);
  const near =
    versions === undefined
      ? suggestName(
          model,
          models.map((entry) => entry.model),
        )
      : suggestName(version, versions);
  const known = versions === undefined ? "fairlead models list shows what there is" : `it has ${versions.join(", ")}`;
  const hint =
    versions?.includes(version) === true
      ? `sign it first: fairlead releases sign ${model} ${version}`
      : near === null
        ? `${versions === undefined ? `no model is called ${model}` : `${model} has no version ${version}`}: ${known}`
        : `did you mean ${versions === undefined ? "the model" : "the version"} "${near}"?`;
  return new ClientError("release_missing", `${model} ${version} has no release`, { hint });
}
