import { toErrorMessage } from "@fairlead/kernel";
import type { Measurement } from "@fairlead/protocol";
import type { FileDigests } from "./file-digests.ts";
import type { FoundModel } from "./model-verdicts.ts";
import type { FileSources, MeasuredFile, ModelFile } from "./ports.ts";

const maxSlots = 64;

export interface Measurer {
  models(fresh: boolean): Promise<{ readonly measurements: Measurement[]; readonly found: FoundModel[] }>;
  /** Agent and configuration. */
  others(fresh: boolean): Promise<Measurement[]>;
  /** True when a model file, or which files there should be, is not as at the last measurement. */
  haveModelsChanged(): Promise<boolean>;
}

/** Turns files into measurements. What cannot be listed or read is a measurement without a digest, and so fails. */
export function createMeasurer(files: FileSources, digests: FileDigests): Measurer {
  let lastModels = "";
  let paths = { models: [] as string[], others: [] as string[] };

  function forget(): void {
    digests.keepOnly(new Set([...paths.models, ...paths.others]));
  }

  async function list(kind: MeasuredFile["kind"], source: () => Promise<readonly MeasuredFile[]>) {
    try {
      return { files: await source(), failed: [] };
    } catch (error) {
      const reason = toErrorMessage(error).slice(0, 200) || "cannot be listed";
      return {
        files: [],
        failed: [{ kind, name: kind, expected: null, actual: null, reason }] satisfies Measurement[],
      };
    }
  }

  async function measureFile({ kind, name, path, optional }: MeasuredFile, fresh: boolean): Promise<Measurement[]> {
    const result = await digests.measure({ path, followLinks: true, fresh });
    if (result.kind === "unreadable" && result.absent && optional === true) return [];
    return [{ kind, name, expected: null, ...toActual(result) }];
  }

  return {
    async models(fresh) {
      const models = files.models().slice(0, maxSlots);
      const measurements: Measurement[] = [];
      for (const { slot, path, digest } of models) {
        const result = await digests.measure({ path, followLinks: false, fresh });
        measurements.push({ kind: "model", name: `slot/${slot}`, expected: digest, ...toActual(result) });
      }
      lastModels = toModelsKey(models);
      paths = { ...paths, models: models.map(({ path }) => path) };
      const found = models.map(({ slot, digest }, at) => ({ slot, digest, actual: measurements[at]?.actual ?? null }));
      return { measurements, found };
    },
    async others(fresh) {
      const agent = await list("agent", files.agent);
      const configuration = await list("configuration", files.configuration);
      const all = [...configuration.files, ...agent.files];
      const measurements: Measurement[] = [...agent.failed, ...configuration.failed];
      for (const file of all) measurements.push(...(await measureFile(file, fresh)));
      paths = { ...paths, others: all.map(({ path }) => path) };
      forget();
      return measurements;
    },
    async haveModelsChanged() {
      const models = files.models().slice(0, maxSlots);
      if (toModelsKey(models) !== lastModels) return true;
      for (const { path } of models) if (await digests.hasChanged(path)) return true;
      return false;
    },
  };
}

function toActual(result: Awaited<ReturnType<FileDigests["measure"]>>): Pick<Measurement, "actual" | "reason"> {
  return result.kind === "read"
    ? { actual: result.digest, reason: null }
    : { actual: null, reason: result.reason.slice(0, 200) };
}

function toModelsKey(models: readonly ModelFile[]): string {
  return models.map(({ slot, path, digest }) => `${slot} ${digest} ${path}`).join("\n");
}
