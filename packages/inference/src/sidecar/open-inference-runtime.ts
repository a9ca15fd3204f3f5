import { join } from "node:path";
import { mkdirSync } from "node:fs";
import { toBackoffDelayMs, toErrorMessage } from "@fairlead/kernel";
import { inspectOnnxBytes, type OnnxInspection } from "../onnx/inspect.ts";
import type { InferenceRuntime, LoadedModel, LoadOptions, PlacementChange } from "../port.ts";
import { RuntimeError } from "../runtime-error.ts";
import { ModelRepository, type StoredModel } from "./model-repository.ts";
import { toModelConfig } from "./model-config.ts";
import { noteServer } from "./server-record.ts";
import { toFileEdge, type ModelEdge } from "./server-model.ts";
import { parseSidecarUrl } from "./sidecar-address.ts";
import { ServerConfigFile } from "./server-config-file.ts";
import {
  SidecarClient,
  type ServedModel,
  type SidecarControl,
  type TensorForm,
  type Wanted,
} from "./sidecar-client.ts";
import { SidecarHttp } from "./sidecar-http.ts";
import { SidecarModel } from "./sidecar-model.ts";
import { SidecarProcess, type SidecarEvent } from "./sidecar-process.ts";

/** A runtime that is another process: ended with ours, and started again by itself. */
export interface SidecarRuntime extends InferenceRuntime {
  /** Of the server's process; null while there is none. */
  readonly pid: number | null;
  /** Ends the server's group at once; for the last moment of this process. */
  kill(): void;
  close(): Promise<void>;
}

export interface OpenInferenceRuntimeOptions {
  readonly name: string;
  /** Program and arguments. `{repository}` in one becomes the folder of models, `{config}` the path of the config file. */
  readonly command: readonly string[];
  /** `http://127.0.0.1:8000` or `unix:/path`; another machine's address is refused. */
  readonly url: string;
  /** Absolute folder of ours: the process record, and `repository` in it unless that is said. */
  readonly folder: string;
  readonly repository?: string;
  /**
   * How the server takes models: told to (model repository extension), by looking at the folder, or by looking at a file that
   * lists them, `config.json` in `folder` (OpenVINO Model Server). Default explicit.
   */
  readonly control?: SidecarControl;
  /** How tensors travel. Default auto: as binary data where the server names that extension, else as JSON. */
  readonly tensors?: TensorForm;
  /** Execution providers that may be asked for; the first ones are the default. Default ["cpu"]. */
  readonly providers?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Default 30,000. */
  readonly readyTimeoutMs?: number;
  /** Bytes that the server may hold in memory before it is started again; null (the default) for as many as there are. */
  readonly memoryLimitBytes?: number | null;
  /** How often the server's health and memory are looked at. Default 2,000. */
  readonly watchMs?: number;
  /** Default 67,108,864. */
  readonly maxAnswerBytes?: number;
  readonly onEvent?: (event: SidecarEvent) => void;
  readonly random?: () => number;
}

interface Held {
  readonly stored: StoredModel;
  readonly edge: ModelEdge;
  readonly requested: readonly string[];
  readonly threads: number;
  readonly model: SidecarModel;
  readonly loadDeadlineMs: number;
  readonly onPlacement: (change: PlacementChange) => void;
}

const defaultLoadDeadlineMs = 60_000;
const unloadTimeoutMs = 5_000;

/**
 * Models on any server that speaks the Open Inference Protocol on this machine. Nothing is started before the first load.
 * @throws RuntimeError `runtime_config_invalid`
 */
export function createOpenInferenceRuntime(options: OpenInferenceRuntimeOptions): SidecarRuntime {
  return new OpenInferenceRuntime(options);
}

class OpenInferenceRuntime implements SidecarRuntime {
  readonly name: string;
  readonly #offered: readonly string[];
  readonly #repository: ModelRepository;
  /** Null where the server does not want one. */
  readonly #config: ServerConfigFile | null;
  readonly #http: SidecarHttp;
  readonly #client: SidecarClient;
  readonly #process: SidecarProcess;
  readonly #models = new Set<Held>();
  readonly #onEvent: (event: SidecarEvent) => void;
  readonly #random: () => number;
  readonly #serverPath: string;
  #opened: Promise<void> | null = null;
  /** Of the server that is up. */
  #described: Promise<void> = Promise.resolve();
  #loading = 0;

  constructor(options: OpenInferenceRuntimeOptions) {
    this.name = options.name;
    this.#offered = options.providers ?? ["cpu"];
    this.#onEvent = options.onEvent ?? (() => undefined);
    this.#random = options.random ?? (() => Math.random());
    this.#serverPath = join(options.folder, "server");
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    this.#repository = new ModelRepository(options.repository ?? join(options.folder, "repository"));
    const configPath = join(options.folder, "config.json");
    this.#config = options.control === "config-file" ? new ServerConfigFile(configPath) : null;
    this.#http = new SidecarHttp(parseSidecarUrl(options.url));
    this.#client = new SidecarClient({
      http: this.#http,
      control: options.control ?? "explicit",
      tensors: options.tensors ?? "auto",
      maxAnswerBytes: options.maxAnswerBytes ?? 67_108_864,
    });
    this.#process = new SidecarProcess({
      name: this.name,
      command: options.command.map((word) =>
        word.replaceAll("{repository}", this.#repository.folder).replaceAll("{config}", configPath),
      ),
      environment: options.environment ?? {},
      folder: options.folder,
      recordPath: join(options.folder, "process.json"),
      readyTimeoutMs: options.readyTimeoutMs ?? 30_000,
      memoryLimitBytes: options.memoryLimitBytes ?? null,
      watchMs: options.watchMs ?? 2_000,
      isReady: () => this.#client.isHealthy("ready"),
      isAlive: () => this.#client.isHealthy("live"),
      isBusy: () => this.#loading > 0 || [...this.#models].some(({ model }) => model.pending > 0),
      onUp: () => this.#onUp(),
      onDown: () => this.#onDown(),
      onEvent: this.#onEvent,
      random: this.#random,
    });
  }

  get pid(): number | null {
    return this.#process.pid;
  }

  async load(bytes: Uint8Array<ArrayBuffer>, options: LoadOptions = {}): Promise<LoadedModel> {
    const providers = this.#toProviders(options.providers);
    const edge = toFileEdge(inspect(bytes));
    const { loadDeadlineMs = defaultLoadDeadlineMs, onPlacement = () => undefined } = options;
    const untilMs = performance.now() + loadDeadlineMs;
    await this.#open();
    await this.#process.whenUp(Math.max(1, untilMs - performance.now()));
    await this.#described;
    const threads = options.threads ?? 1;
    const identity = this.#repository.toNewName(bytes);
    const stored = await this.#repository.put(identity, bytes, (version) =>
      toModelConfig({ name: identity.name, version, edge, providers, threads }),
    );
    try {
      const { generation } = this.#process;
      const served = await this.#bring(stored, { edge, providers, threads, untilMs });
      if (generation !== this.#process.generation || !this.#process.up)
        throw new RuntimeError("runtime_crashed", "the server ended while it loaded the model");
      return this.#hold(stored, served, { requested: providers, threads, loadDeadlineMs, onPlacement });
    } catch (error) {
      await this.#drop(stored).catch(() => undefined);
      throw error;
    }
  }

  kill(): void {
    this.#process.kill();
  }

  async close(): Promise<void> {
    for (const { model } of this.#models) model.goDown("the runtime is closed");
    await this.#process.close();
    this.#http.close();
  }

  /** Once; again when it failed. */
  async #open(): Promise<void> {
    this.#opened ??= this.#repository.open().then(() => this.#config?.clear());
    try {
      await this.#opened;
    } catch (error) {
      this.#opened = null;
      throw error;
    }
  }

  #toProviders(asked: readonly string[] | undefined): readonly string[] {
    if (asked === undefined) return this.#offered;
    const unknown = asked.filter((provider) => !this.#offered.includes(provider));
    if (unknown.length === 0 && asked.length > 0) return asked;
    throw new RuntimeError(
      "provider_unknown",
      `execution provider ${unknown.join(", ") || "(none)"} is not offered by runtime '${this.name}'; offered: ${this.#offered.join(", ")}`,
    );
  }

  async #bring(
    stored: StoredModel,
    { threads, ...wanted }: Wanted & { readonly threads: number },
  ): Promise<ServedModel> {
    this.#loading += 1;
    try {
      this.#config?.add({ ...stored, providers: wanted.providers, threads });
      return await this.#client.load(stored, wanted);
    } catch (error) {
      // A server that does not come back from a load will not come back for others either.
      if (this.#client.isLate(error)) this.#process.restart(`it did not load ${stored.name} in time`);
      throw this.#client.toLoadError(error);
    } finally {
      this.#loading -= 1;
    }
  }

  #hold(
    stored: StoredModel,
    served: ServedModel,
    asked: Pick<Held, "requested" | "threads" | "loadDeadlineMs" | "onPlacement">,
  ): SidecarModel {
    const { edge, placement } = served;
    const model = new SidecarModel({
      runtime: this.name,
      edge,
      placement,
      run: (inputs, timeoutMs) => this.#client.infer({ ...stored, edge }, inputs, timeoutMs),
      onHung: (deadlineMs) => this.#process.restart(`a run took longer than ${deadlineMs} ms`),
      onGarbled: () => this.#http.reset(),
      onClosed: async () => {
        this.#models.delete(held);
        await this.#drop(stored);
      },
    });
    const held: Held = { stored, edge, model, ...asked };
    this.#models.add(held);
    return model;
  }

  /** Takes the model from the server and from the folder; a server that is not there has nothing to give back. */
  async #drop(stored: StoredModel): Promise<void> {
    this.#config?.remove(stored.name);
    if (this.#process.up) await this.#client.unload(stored.name, unloadTimeoutMs);
    await this.#repository.remove(stored.name);
  }

  #onDown(): void {
    this.#http.reset();
    // The next server is to load nothing that was not looked at again.
    this.#config?.clear();
    for (const { model } of this.#models) model.goDown("it starts again");
  }

  /** For whoever compares what ran on one version with what runs on the next; nothing here needs it. */
  async #describe(): Promise<void> {
    const server = await this.#client.describeServer();
    try {
      noteServer(this.#serverPath, server);
    } catch {
      // A full disk: what was known of the last one stays.
    }
  }

  #onUp(): void {
    this.#described = this.#describe();
    for (const held of this.#models) void this.#reload(held, this.#process.generation, 0);
  }

  async #reload(held: Held, generation: number, attempt: number): Promise<void> {
    const { stored, edge, requested, threads, model, loadDeadlineMs, onPlacement } = held;
    const current = () => this.#models.has(held) && this.#process.up && this.#process.generation === generation;
    try {
      // What is loaded is what was checked, the second time too.
      if (!(await this.#repository.holds(stored))) {
        model.goDown("its file in the server's folder is not what was written there");
        throw new RuntimeError("model_load_failed", "the file in the server's folder was changed");
      }
      const untilMs = performance.now() + loadDeadlineMs;
      const served = await this.#bring(stored, { edge, providers: requested, threads, untilMs });
      if (!current()) return;
      model.comeUp(served.placement);
      onPlacement({ kind: "proved", placement: served.placement });
    } catch (error) {
      if (!current()) return;
      const reason = toErrorMessage(error).slice(0, 500);
      model.goDown(`it could not load it again: ${reason}`);
      this.#onEvent({ kind: "model-lost", model: stored.name, reason });
      const delayMs = 200 + toBackoffDelayMs({ baseMs: 500, maxMs: 60_000 }, attempt, this.#random());
      setTimeout(() => {
        if (current()) void this.#reload(held, generation, attempt + 1);
      }, delayMs).unref();
    }
  }
}

function inspect(bytes: Uint8Array): OnnxInspection {
  try {
    return inspectOnnxBytes(bytes);
  } catch (error) {
    throw new RuntimeError("model_load_failed", toErrorMessage(error), error);
  }
}
