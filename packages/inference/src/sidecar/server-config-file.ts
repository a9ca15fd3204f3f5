import { renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { toDevice } from "./model-config.ts";

export interface ConfiguredModel {
  readonly name: string;
  readonly version: number;
  /** The model's file below `<folder>/<name>/<version>/`. */
  readonly path: string;
  readonly providers: readonly string[];
  readonly threads: number;
}

/**
 * The `config.json` of OpenVINO Model Server (`model_config_list`), which has no call to load a model: it looks at this file
 * every second, loads what was added and unloads what is gone. Each change replaces the file in one rename, since the server
 * may read at any moment. Nothing of it survives us: it names what is served by this process.
 */
export class ServerConfigFile {
  readonly path: string;
  readonly #models = new Map<string, ConfiguredModel>();

  constructor(path: string) {
    this.path = path;
  }

  add(model: ConfiguredModel): void {
    this.#models.set(model.name, model);
    this.#write();
  }

  remove(name: string): void {
    if (this.#models.delete(name)) this.#write();
  }

  /**
   * Also before the first start: a server that finds no file does not start, which is what becomes of it where the list cannot
   * be written (a full disk), since the one that is there names files that nobody has looked at again.
   */
  clear(): void {
    this.#models.clear();
    try {
      this.#write();
    } catch {
      rmSync(this.path, { force: true });
    }
  }

  #write(): void {
    const document = { model_config_list: [...this.#models.values()].map((model) => ({ config: toEntry(model) })) };
    const staged = `${this.path}.staged`;
    rmSync(staged, { force: true });
    writeFileSync(staged, `${JSON.stringify(document, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(staged, this.path);
  }
}

function toEntry({ name, version, path, providers, threads }: ConfiguredModel): object {
  const device = toDevice(providers);
  return {
    name,
    base_path: dirname(dirname(path)),
    model_version_policy: { specific: { versions: [version] } },
    target_device: device,
    // Properties of the processor's plugin; others refuse what they do not know.
    ...(device === "CPU" ? { plugin_config: { INFERENCE_NUM_THREADS: threads, NUM_STREAMS: 1 } } : {}),
  };
}
