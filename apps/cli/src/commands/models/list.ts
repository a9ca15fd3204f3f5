import type { Command } from "../../command.ts";
import { toUsageError } from "../../errors.ts";
import { findVersion } from "../../models/find-version.ts";
import { findOrSuggest, kinds } from "../../not-found.ts";
import { describeVersion } from "./view.ts";

export const listModels: Command = {
  noun: "models",
  verb: "list",
  summary: "List models and their versions",
  async run({ client, out }) {
    const models = await (await client()).models.list();
    if (out.isStructured) return out.value(models);
    const rows = models.flatMap((model) => model.versions.map((version) => ({ model: model.model, ...version })));
    out.list(rows, {
      name: (row) => `${row.model}/${row.version}`,
      empty: "no models: fairlead models push FILE --model NAME --version 1.0.0",
      columns: [
        { title: "MODEL", cell: (row) => row.model },
        { title: "VERSION", cell: (row) => row.version },
        { title: "BUILDS", cell: (row) => String(row.builds) },
        { title: "RELEASED", cell: (row) => (row.released ? "yes" : "no") },
        { title: "REGISTERED", cell: (row) => out.toAge(row.createdAtMs) },
      ],
    });
  },
};

export const describeModel: Command = {
  noun: "models",
  verb: "describe",
  summary: "Show a model version: builds, tensors, self-test, release",
  arguments: [
    { syntax: "<model>", description: "model name" },
    { syntax: "[version]", description: "the newest when left out" },
  ],
  async run({ client, out }, input) {
    const [model = "", given] = input.args;
    const api = await client();
    const { versions } = await findOrSuggest(kinds.model, model, {
      find: () => api.models.get(model),
      listNames: async () => (await api.models.list()).map((entry) => entry.model),
    });
    const newest = versions.toSorted((left, right) => right.createdAtMs - left.createdAtMs)[0]?.version;
    const version = given ?? newest;
    if (version === undefined) throw toUsageError(`${model} has no version yet`);
    const detail = await findVersion(api, model, version);
    out.one(detail, { name: () => `${model}/${detail.content.version}`, describe: describeVersion });
  },
};
